//! Plans of the sudo transport.
