//! The graph that the machine builds: small nodes that refer to the input and to each other by index.
//!
//! Nothing in this module recurses and no node owns memory, so a reference to a shared or even cyclic structure
//! costs one node, and dropping a graph frees a few vectors.
//!
//! Invariant: every index in a node was created by this module and stays valid, because the vectors only grow.

use std::collections::HashMap;

use super::error::Error;

/// A range of the input, or of the unescaped text, which is addressed as if it followed the input.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) at: u32,
    pub(super) len: u32,
}

/// The globals that a peer may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    Blob,
    Secret,
    Kwargs,
    CallError,
    Context,
    Sender,
    Encode,
    Bytes,
    ByteArray,
}

/// One object on the stack, in the memo, or in a container. Indices refer to [`Graph::items`] unless stated
/// otherwise.
#[derive(Clone, Copy, Debug)]
pub(super) enum Node {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Not yet checked to be UTF-8.
    Text(Span),
    Bytes(Span),
    /// The latin-1 form of this text, not yet computed.
    Latin1(Span),
    /// Two's complement, more than 64 bits.
    Long(Span),
    /// The members are consecutive from `at`.
    Tuple {
        at: u32,
        len: u32,
    },
    /// Index of the first chunk.
    List(u32),
    /// Index of the first chunk; keys and values alternate.
    Dict(u32),
    Global(Global),
    /// Index of a `Bytes` or `Latin1`.
    Blob(u32),
    Secret(Span),
    /// Index of the first chunk, as in `Dict`.
    Kwargs(u32),
    CallError(Span),
    /// Index of the id, an `Int` in range; the next item is the name, a `Text` or `None`.
    Context(u32),
    Sender {
        context: u32,
        handle: u32,
    },
}

const _: () = assert!(size_of::<Node>() == 16, "nodes are copied often");

/// Part of a list or dict. A container is a chain of chunks, because members may be added in several steps with
/// other objects in between.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    start: u32,
    len: u32,
    next: Option<u32>,
    /// The last chunk of the chain; valid in the first chunk only.
    last: u32,
    /// The number of members of the chain; valid in the first chunk only.
    total: u32,
}

/// All objects of a message.
#[derive(Debug)]
pub(super) struct Graph<'de> {
    input: &'de [u8],
    /// Text that had to be unescaped; spans address it as if it followed the input.
    unescaped: Vec<u8>,
    items: Vec<Node>,
    chunks: Vec<Chunk>,
}

/// The bytes of a span. Those of the input live as long as the input.
#[derive(Clone, Copy)]
pub(super) enum Slice<'g, 'de> {
    Input(&'de [u8]),
    Unescaped(&'g [u8]),
}

impl<'g, 'de: 'g> Slice<'g, 'de> {
    pub(super) fn bytes(self) -> &'g [u8] {
        match self {
            Self::Input(bytes) => bytes,
            Self::Unescaped(bytes) => bytes,
        }
    }
}

impl<'de> Graph<'de> {
    /// Creates an empty graph over `input`.
    pub(super) fn new(input: &'de [u8]) -> Result<Self, Error> {
        span_number(input.len())?;
        Ok(Self { input, unescaped: Vec::new(), items: Vec::new(), chunks: Vec::new() })
    }

    pub(super) fn slice(&self, span: Span) -> Slice<'_, 'de> {
        let at = span.at as usize;
        let len = span.len as usize;
        match at.checked_sub(self.input.len()) {
            // An empty span may be at the very end of the input.
            Some(at) if len > 0 => Slice::Unescaped(&self.unescaped[at..at + len]),
            Some(_) => Slice::Input(&[]),
            None => Slice::Input(&self.input[at..at + len]),
        }
    }

    /// Stores the text that `write` appends; `None` if it failed.
    pub(super) fn unescape(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Option<()>,
    ) -> Result<Option<Span>, Error> {
        let start = self.unescaped.len();
        if write(&mut self.unescaped).is_none() {
            return Ok(None);
        }
        let at = span_number(self.input.len() + start)?;
        span_number(self.input.len() + self.unescaped.len())?;
        Ok(Some(Span { at, len: (self.unescaped.len() - start) as u32 }))
    }

    /// The number of members of all containers, for the limit.
    pub(super) fn member_count(&self) -> usize {
        self.items.len() + self.chunks.len()
    }

    pub(super) fn item(&self, at: u32) -> Node {
        self.items[at as usize]
    }

    /// Stores `nodes` consecutively.
    pub(super) fn row(&mut self, nodes: &[Node]) -> Result<(u32, u32), Error> {
        let at = span_number(self.items.len())?;
        span_number(self.items.len() + nodes.len())?;
        self.items.extend_from_slice(nodes);
        Ok((at, nodes.len() as u32))
    }

    /// Starts the chain of a list or dict with `nodes`.
    pub(super) fn chain(&mut self, nodes: &[Node]) -> Result<u32, Error> {
        let (start, len) = self.row(nodes)?;
        let number = span_number(self.chunks.len())?;
        self.chunks.push(Chunk { start, len, next: None, last: number, total: len });
        Ok(number)
    }

    /// Appends `nodes` to the chain that starts with chunk `first`.
    pub(super) fn extend(&mut self, first: u32, nodes: &[Node]) -> Result<(), Error> {
        let (start, len) = self.row(nodes)?;
        let number = span_number(self.chunks.len())?;
        let last = self.chunks[first as usize].last;
        let tail = &mut self.chunks[last as usize];
        if tail.len == 0 {
            tail.start = start;
            tail.len = len;
        } else if tail.start + tail.len == start {
            tail.len += len;
        } else {
            tail.next = Some(number);
            self.chunks.push(Chunk { start, len, next: None, last: number, total: 0 });
            self.chunks[first as usize].last = number;
        }
        self.chunks[first as usize].total += len;
        Ok(())
    }

    /// The members of the chain that starts with chunk `first`.
    pub(super) fn members(&self, first: u32) -> Members<'_> {
        let chunk = &self.chunks[first as usize];
        Members {
            graph: self,
            row: self.row_slice(chunk.start, chunk.len),
            next: chunk.next,
            remaining: chunk.total,
        }
    }

    /// The members of a tuple.
    pub(super) fn tuple_members(&self, at: u32, len: u32) -> Members<'_> {
        Members { graph: self, row: self.row_slice(at, len), next: None, remaining: len }
    }

    fn row_slice(&self, at: u32, len: u32) -> &[Node] {
        &self.items[at as usize..at as usize + len as usize]
    }
}

/// Iterates over the members of a container.
#[derive(Clone, Debug)]
pub(super) struct Members<'g> {
    graph: &'g Graph<'g>,
    row: &'g [Node],
    next: Option<u32>,
    remaining: u32,
}

impl Iterator for Members<'_> {
    type Item = Node;

    fn next(&mut self) -> Option<Node> {
        loop {
            if let [first, rest @ ..] = self.row {
                self.row = rest;
                self.remaining -= 1;
                return Some(*first);
            }
            let chunk = &self.graph.chunks[self.next? as usize];
            self.row = self.graph.row_slice(chunk.start, chunk.len);
            self.next = chunk.next;
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining as usize, Some(self.remaining as usize))
    }
}

impl ExactSizeIterator for Members<'_> {}

/// Converts a position to the form in which nodes store it.
fn span_number(position: usize) -> Result<u32, Error> {
    u32::try_from(position).map_err(|_| Error::Limit { what: "pickle bytes", limit: u32::MAX as usize })
}

/// The memo: objects by the index that the sender assigned.
///
/// Indices may have gaps, and a malicious sender may choose any, so indices far beyond the stored ones go into a
/// map instead of a sparse table.
#[derive(Debug, Default)]
pub(super) struct Memo {
    table: Vec<Option<Node>>,
    far: HashMap<u32, Node>,
    count: u32,
}

impl Memo {
    pub(super) fn get(&self, index: u32) -> Option<Node> {
        match self.table.get(index as usize) {
            Some(Some(node)) => Some(*node),
            _ if self.far.is_empty() => None,
            _ => self.far.get(&index).copied(),
        }
    }

    pub(super) fn put(&mut self, index: u32, node: Node) {
        let at = index as usize;
        if at == self.table.len() {
            self.table.push(Some(node));
            self.count += 1;
            return;
        }
        let old = if at < self.table.len() {
            self.table[at].replace(node)
        } else if at < 64 + 2 * self.count as usize {
            self.table.resize(at, None);
            self.table.push(Some(node));
            None
        } else {
            self.far.insert(index, node)
        };
        self.count += u32::from(old.is_none());
    }

    /// Stores `node` at the next free index, as the `MEMOIZE` opcode requires.
    pub(super) fn append(&mut self, node: Node) {
        self.put(self.count, node);
    }
}
