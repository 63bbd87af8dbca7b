//! Python source without comments and docstrings, with every line where it was.
//!
//! Text in, text out; knows nothing of files, modules or contexts.
