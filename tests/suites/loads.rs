//! Modules in a recorded link.

use std::collections::BTreeMap;

use mitogen::pickle::{self, Value};
use mitogen_core::wire::WellKnownHandle;

use crate::frame_log::Link;

impl Link {
    /// How often each module was sent to the child, negative answers included.
    pub(crate) fn loaded(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for message in
            self.down.iter().filter(|message| message.handle == WellKnownHandle::LoadModule.handle())
        {
            let value: Value = pickle::from_bytes(&message.data).expect("a module");
            let Value::Tuple(fields) = value else { panic!("{value:?}") };
            *counts.entry(fields[0].as_str().expect("a name").to_owned()).or_default() += 1;
        }
        counts
    }

    /// The modules that the child requested, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        let asked = self.up.iter().filter(|message| message.handle == WellKnownHandle::GetModule.handle());
        asked.map(|message| String::from_utf8_lossy(&message.data).into_owned()).collect()
    }
}
