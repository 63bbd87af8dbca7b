//! Transports without code: a table says which program is run and how its prompts are answered.
//!
//! A [`Template`] is read from a JSON object, which is what `[transport.NAME]` in a profile file contains, and becomes a
//! [`TransportKind`] like any other. Everything that is wrong with the table is reported at once, each [`Fault`] with the
//! path to the value. This crate knows neither TOML nor files.
//!
//! ```
//! use mitogen_core::connect::ChildCommand;
//! use mitogen_template::Template;
//! use serde_json::json;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let table = json!({
//!     "argv": ["tsh", "ssh", ["--proxy={proxy}"], "{hostname}", "{child...}"],
//!     "quote": "shell",
//!     "options": {"hostname": {"type": "string", "required": true}, "proxy": "string"},
//! });
//! let template = Template::read("tsh", table.as_object().ok_or("not a table")?).map_err(|faults| faults[0].to_string())?;
//! let tsh = template.kind().create(json!({"hostname": "web1"}))?;
//! let plan = tsh.plan(&ChildCommand::new(["python3", "-c", "print(1)"]))?;
//! assert_eq!(plan.argv(), ["tsh", "ssh", "web1", "python3 -c 'print(1)'"]);
//! # Ok(())
//! # }
//! ```

mod argv;
mod dialogue;
mod fault;
mod options;
mod read;
mod template;
#[cfg(test)]
mod tests;
mod text;

pub use fault::{Fault, Step};
pub use template::Template;

#[doc(no_inline)]
pub use mitogen_core::connect::TransportKind;
