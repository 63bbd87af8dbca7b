//! Naming targets: node sets and target expressions.
//!
//! A node set (`web[01-20,25].x[1-2]`) stands for many names; [`expand`] and [`fold`] convert between
//! the two. A target [`Expression`] (`@web,db*,!db3`) selects from the entries of a [`Catalog`]. This
//! module is pure: it reads no files, knows no TOML and connects nothing.

mod adhoc;
mod catalog;
mod error;
mod expression;
mod fold;
mod nodeset;

pub use adhoc::AdHoc;
pub use catalog::{Catalog, CatalogEntry, Target, TargetKind};
pub use error::{ExpressionError, TargetError};
pub use expression::{Atom, Expression, GlobSet, NamePattern, Operator, Term};
pub use fold::fold;
pub use mitogen_core::suggest::did_you_mean;
pub use nodeset::{MAX_NODES, NodeSet, NodeSetError, expand};
