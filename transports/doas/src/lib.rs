//! The doas transport.
