//! Naming machines: node sets and target expressions.
//!
//! A node set (`web[01-20,25].x[1-2]`) stands for many names; [`expand`] and [`fold`] go there and
//! back. A target [`Expression`] (`@web,db*,!db3`) says which of the machines in a [`Catalog`] are
//! meant. Pure text and tables: nothing here reads files, knows TOML, or connects.

mod adhoc;
mod catalog;
mod expression;
mod fold;
mod nodeset;

pub use adhoc::AdHoc;
pub use catalog::{Catalog, Entry, Target, TargetError, TargetKind};
pub use expression::{Atom, Expression, ExpressionError, NamePattern, Operator, Term};
pub use fold::fold;
pub use mitogen_core::suggest::did_you_mean;
pub use nodeset::{MAX_NODES, NodeSet, NodeSetError, expand};
