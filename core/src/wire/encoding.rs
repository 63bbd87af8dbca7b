//! What the payload of a frame is: the header's first field.

/// The payload's encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Encoding {
    /// `MI`: raw payloads of the old handles, empty payloads, and all dead messages.
    #[default]
    Legacy = 0x4d49,
    /// `MJ`: one or more pickles.
    Pickle = 0x4d4a,
    /// `MK`: uninterpreted bytes.
    Raw = 0x4d4b,
}

impl Encoding {
    /// The encoding that `value` stands for on the wire.
    pub const fn from_wire(value: u16) -> Option<Self> {
        match value {
            0x4d49 => Some(Self::Legacy),
            0x4d4a => Some(Self::Pickle),
            0x4d4b => Some(Self::Raw),
            _ => None,
        }
    }
}
