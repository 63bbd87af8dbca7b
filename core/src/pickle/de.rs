//! The serde deserializer over a graph, without an intermediate `Value`.

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, Unexpected, VariantAccess,
    Visitor,
};

use super::error::Error;
use super::expand::{Raw, Text, View};
use super::graph::{Members, Node};
use super::names::VALUE;
use super::objects::CallErrorText;
use super::value_serde::pass_value;

/// Deserializes one node.
pub(super) struct NodeDeserializer<'g, 'de> {
    view: View<'g, 'de>,
    node: Node,
    depth: usize,
}

impl<'g, 'de> NodeDeserializer<'g, 'de> {
    pub(super) fn new(view: View<'g, 'de>, node: Node, depth: usize) -> Self {
        Self { view, node, depth }
    }

    fn seq<V: Visitor<'de>>(self, members: Members<'g>, visitor: V) -> Result<V::Value, Error> {
        let total = members.len();
        let mut access = Container { view: self.view, members, depth: self.depth + 1 };
        let result = visitor.visit_seq(&mut access)?;
        // A tuple's visitor stops at its own length; the remaining members must not be lost silently.
        if access.members.len() > 0 {
            return Err(Error::invalid_length(total, &"fewer members"));
        }
        Ok(result)
    }

    fn map<V: Visitor<'de>>(self, first: u32, visitor: V) -> Result<V::Value, Error> {
        let members = self.view.graph.members(first);
        visitor.visit_map(Container { view: self.view, members, depth: self.depth + 1 })
    }
}

impl<'de> Deserializer<'de> for NodeDeserializer<'_, 'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.view.budget.item(self.depth)?;
        match self.node {
            Node::None => visitor.visit_unit(),
            Node::Bool(it) => visitor.visit_bool(it),
            Node::Int(it) => visitor.visit_i64(it),
            Node::Float(it) => visitor.visit_f64(it),
            // Serde's errors quote the value, so the error of a secret is replaced.
            Node::Secret(span) => match self.view.text(span)? {
                Text::Input(text) | Text::Unescaped(text) => visitor.visit_str(text),
                Text::Surrogates(_) => Err(Error::custom("")),
            }
            .map_err(|_: Error| Error::custom("unexpected secret")),
            Node::Text(span) => match self.view.text(span)? {
                Text::Input(text) => visitor.visit_borrowed_str(text),
                Text::Unescaped(text) => visitor.visit_str(text),
                // Strings reject these; byte strings accept them.
                Text::Surrogates(bytes) => visitor.visit_bytes(bytes),
            },
            Node::Bytes(_) | Node::Latin1(_) => match self.view.raw(self.node)? {
                Raw::Input(bytes) => visitor.visit_borrowed_bytes(bytes),
                Raw::Other(bytes) => visitor.visit_bytes(&bytes),
            },
            Node::Blob(at) => match self.view.raw(self.view.graph.item(at))? {
                Raw::Input(bytes) => visitor.visit_borrowed_bytes(bytes),
                Raw::Other(bytes) => visitor.visit_bytes(&bytes),
            },
            Node::Long(span) => {
                let n = self.view.big(span)?;
                match (n.to_u128(), n.to_i128()) {
                    (Some(n), _) => match u64::try_from(n) {
                        Ok(n) => visitor.visit_u64(n),
                        Err(_) => visitor.visit_u128(n),
                    },
                    (None, Some(n)) => visitor.visit_i128(n),
                    (None, None) => Err(Error::invalid_type(Unexpected::Other("big integer"), &visitor)),
                }
            }
            Node::Tuple { at, len } => {
                let members = self.view.graph.tuple_members(at, len);
                self.seq(members, visitor)
            }
            Node::List(first) => {
                let members = self.view.graph.members(first);
                self.seq(members, visitor)
            }
            Node::Dict(first) | Node::Kwargs(first) => self.map(first, visitor),
            Node::CallError(span) => Err(Error::Call(CallErrorText(self.view.call_error(span)?))),
            Node::Context(_) => Err(Error::invalid_type(Unexpected::Other("context"), &visitor)),
            Node::Sender { .. } => Err(Error::invalid_type(Unexpected::Other("sender"), &visitor)),
            Node::Global(_) => Err(Error::Invalid("a function is not data".into())),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node {
            Node::None => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name == VALUE {
            pass_value(self.view.value(self.node, self.depth)?, visitor)
        } else {
            visitor.visit_newtype_struct(self)
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.view.budget.item(self.depth)?;
        let (variant, content) = match self.node {
            Node::Text(_) | Node::Bytes(_) | Node::Latin1(_) => (self.node, None),
            Node::Dict(first) | Node::Kwargs(first) => {
                let mut members = self.view.graph.members(first);
                match (members.next(), members.next(), members.next()) {
                    (Some(variant), Some(content), None) => (variant, Some(content)),
                    _ => {
                        return Err(Error::custom(format_args!(
                            "enum {name} requires a dict with one entry"
                        )));
                    }
                }
            }
            Node::CallError(_) => return self.deserialize_any(visitor),
            _ => {
                return Err(Error::custom(format_args!(
                    "enum {name} requires a text or a dict with one entry"
                )));
            }
        };
        visitor.visit_enum(Variant { view: self.view, variant, content, depth: self.depth + 1 })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct identifier
    }
}

/// The remaining members of a container.
struct Container<'g, 'de> {
    view: View<'g, 'de>,
    members: Members<'g>,
    depth: usize,
}

impl<'de> Container<'_, 'de> {
    fn next<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        match self.members.next() {
            Some(node) => seed.deserialize(NodeDeserializer::new(self.view, node, self.depth)).map(Some),
            None => Ok(None),
        }
    }
}

impl<'de> SeqAccess<'de> for &mut Container<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.next(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.members.len())
    }
}

impl<'de> MapAccess<'de> for Container<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.next(seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        match self.next(seed)? {
            Some(value) => Ok(value),
            None => Err(Error::custom("a map's value was requested before its key")),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.members.len() / 2)
    }
}

/// An externally tagged enum: its variant's name, and the content unless it is a unit variant.
struct Variant<'g, 'de> {
    view: View<'g, 'de>,
    variant: Node,
    content: Option<Node>,
    depth: usize,
}

impl<'g, 'de> EnumAccess<'de> for Variant<'g, 'de> {
    type Error = Error;
    type Variant = Content<'g, 'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content<'g, 'de>), Error> {
        let variant = seed.deserialize(NodeDeserializer::new(self.view, self.variant, self.depth))?;
        let content = self.content.map(|node| NodeDeserializer::new(self.view, node, self.depth));
        Ok((variant, Content(content)))
    }
}

struct Content<'g, 'de>(Option<NodeDeserializer<'g, 'de>>);

impl<'g, 'de> Content<'g, 'de> {
    fn some(self) -> Result<NodeDeserializer<'g, 'de>, Error> {
        self.0.ok_or_else(|| Error::invalid_type(Unexpected::UnitVariant, &"a variant with content"))
    }
}

impl<'de> VariantAccess<'de> for Content<'_, 'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.0 {
            None => Ok(()),
            Some(content) if matches!(content.node, Node::None) => Ok(()),
            Some(_) => Err(Error::invalid_type(Unexpected::NewtypeVariant, &"a variant without content")),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.some()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Error> {
        self.some()?.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.some()?.deserialize_any(visitor)
    }
}
