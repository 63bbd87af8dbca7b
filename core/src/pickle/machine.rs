//! The machine that executes the opcodes of the pickles and builds a graph. It does not recurse or copy, and does
//! constant work for each opcode and byte.

use super::big::{self, BigInt};
use super::error::Error;
use super::graph::{Graph, Memo, Node, Span};
use super::limits::Limits;
use super::opcode::*;
use super::{escape, globals};

/// The unpickling machine of one message. All pickles of the message share its memo, as in upstream Mitogen.
#[derive(Debug)]
pub(super) struct Machine<'de> {
    input: &'de [u8],
    position: usize,
    pub(super) graph: Graph<'de>,
    memo: Memo,
    stack: Vec<Node>,
    /// Stack heights at the open `MARK`s. Invariant: ascending, none above the current height.
    marks: Vec<u32>,
    max_items: usize,
}

impl<'de> Machine<'de> {
    pub(super) fn new(input: &'de [u8], limits: &Limits) -> Result<Self, Error> {
        Ok(Self {
            input,
            position: 0,
            graph: Graph::new(input)?,
            memo: Memo::default(),
            stack: Vec::new(),
            marks: Vec::new(),
            max_items: limits.items.min(u32::MAX as usize),
        })
    }

    /// Whether the payload was read completely.
    pub(super) fn at_end(&self) -> bool {
        self.position == self.input.len()
    }

    /// Runs to the next `STOP` and returns the top of the stack.
    ///
    /// The rest of the stack is discarded: a peer whose pickling failed half-way sends the beginning of the
    /// failed pickle before the one that reports the failure.
    pub(super) fn run(&mut self) -> Result<Node, Error> {
        self.stack.clear();
        self.marks.clear();
        loop {
            let opcode = self.u8()?;
            match opcode {
                PROTO => match self.u8()? {
                    0..=5 => {}
                    _ => return Err(self.malformed("unsupported pickle protocol")),
                },
                FRAME => {
                    self.take(8)?;
                }
                STOP => {
                    let top = self.pop()?;
                    return match top {
                        Node::Global(_) => Err(self.malformed("a function is not data")),
                        data => Ok(data),
                    };
                }

                NONE => self.push(Node::None)?,
                NEWTRUE => self.push(Node::Bool(true))?,
                NEWFALSE => self.push(Node::Bool(false))?,
                BININT1 => {
                    let n = self.u8()?;
                    self.push(Node::Int(n.into()))?;
                }
                BININT2 => {
                    let n = u16::from_le_bytes(self.array()?);
                    self.push(Node::Int(n.into()))?;
                }
                BININT => {
                    let n = i32::from_le_bytes(self.array()?);
                    self.push(Node::Int(n.into()))?;
                }
                LONG1 => {
                    let len = self.u8()?.into();
                    self.long(len)?;
                }
                LONG4 => {
                    let len = self.signed_length()?;
                    self.long(len)?;
                }
                INT | LONG => self.decimal(opcode)?,
                BINFLOAT => {
                    let x = f64::from_be_bytes(self.array()?);
                    self.push(Node::Float(x))?;
                }
                FLOAT => {
                    let line = self.line()?;
                    let x =
                        std::str::from_utf8(self.bytes(line)).ok().and_then(|text| text.trim().parse().ok());
                    let x = x.ok_or_else(|| self.malformed("invalid float"))?;
                    self.push(Node::Float(x))?;
                }

                SHORT_BINUNICODE => {
                    let len = self.u8()?.into();
                    self.text(len)?;
                }
                BINUNICODE => {
                    let len = self.length4()?;
                    self.text(len)?;
                }
                BINUNICODE8 => {
                    let len = self.length8()?;
                    self.text(len)?;
                }
                SHORT_BINSTRING | SHORT_BINBYTES => {
                    let len = self.u8()?.into();
                    self.byte_string(len)?;
                }
                BINSTRING => {
                    let len = self.signed_length()?;
                    self.byte_string(len)?;
                }
                BINBYTES => {
                    let len = self.length4()?;
                    self.byte_string(len)?;
                }
                BINBYTES8 | BYTEARRAY8 => {
                    let len = self.length8()?;
                    self.byte_string(len)?;
                }
                STRING => {
                    let line = self.line()?;
                    let (input, graph) = (self.input, &mut self.graph);
                    let span = graph.unescape(|out| escape::quoted(sub(input, line), out))?;
                    let span = span.ok_or_else(|| self.malformed("invalid string literal"))?;
                    self.push(Node::Bytes(span))?;
                }
                UNICODE => {
                    let mut line = self.line()?;
                    let bytes = self.bytes(line);
                    if !bytes.is_ascii() || bytes.contains(&b'\\') {
                        let span = self.graph.unescape(|out| escape::raw_unicode(bytes, out))?;
                        line = span.ok_or_else(|| self.malformed("invalid text escape"))?;
                    }
                    self.push(Node::Text(line))?;
                }

                MARK => {
                    if self.marks.len() >= self.max_items {
                        return Err(self.too_many());
                    }
                    self.marks.push(self.stack.len() as u32);
                }
                POP => {
                    if self.marks.last() == Some(&(self.stack.len() as u32)) {
                        self.marks.pop();
                    } else {
                        self.pop()?;
                    }
                }
                POP_MARK => {
                    let mark = self.mark()?;
                    self.stack.truncate(mark);
                }
                DUP => {
                    let top = self.top()?;
                    self.push(top)?;
                }

                EMPTY_TUPLE => self.tuple(self.stack.len())?,
                TUPLE1 => self.tuple(self.below(1)?)?,
                TUPLE2 => self.tuple(self.below(2)?)?,
                TUPLE3 => self.tuple(self.below(3)?)?,
                TUPLE => {
                    let mark = self.mark()?;
                    self.tuple(mark)?;
                }
                EMPTY_LIST => self.list(self.stack.len())?,
                LIST => {
                    let mark = self.mark()?;
                    self.list(mark)?;
                }
                EMPTY_DICT => self.dict(self.stack.len())?,
                DICT => {
                    let mark = self.mark()?;
                    self.dict(mark)?;
                }
                APPEND => self.append(self.below(1)?)?,
                APPENDS => {
                    let mark = self.mark()?;
                    self.append(mark)?;
                }
                SETITEM => self.set_items(self.below(2)?)?,
                SETITEMS => {
                    let mark = self.mark()?;
                    self.set_items(mark)?;
                }

                PUT => {
                    let index = self.index()?;
                    self.memo.put(index, self.top()?);
                }
                BINPUT => {
                    let index = self.u8()?.into();
                    self.memo.put(index, self.top()?);
                }
                LONG_BINPUT => {
                    let index = u32::from_le_bytes(self.array()?);
                    self.memo.put(index, self.top()?);
                }
                MEMOIZE => self.memo.append(self.top()?),
                GET => {
                    let index = self.index()?;
                    self.recall(index)?;
                }
                BINGET => {
                    let index = self.u8()?.into();
                    self.recall(index)?;
                }
                LONG_BINGET => {
                    let index = u32::from_le_bytes(self.array()?);
                    self.recall(index)?;
                }

                GLOBAL => {
                    let module = self.line()?;
                    let name = self.line()?;
                    self.push(Node::Global(globals::lookup(self.bytes(module), self.bytes(name))?))?;
                }
                STACK_GLOBAL => {
                    let (Node::Text(name), Node::Text(module)) = (self.pop()?, self.pop()?) else {
                        return Err(self.malformed("a global's name is not text"));
                    };
                    let (module, name) = (self.graph.slice(module).bytes(), self.graph.slice(name).bytes());
                    self.push(Node::Global(globals::lookup(module, name)?))?;
                }
                REDUCE => {
                    let arguments = self.pop()?;
                    let Node::Global(function) = self.pop()? else {
                        return Err(self.malformed("a call of an object that is not a function"));
                    };
                    let result = globals::call(function, &self.graph, arguments);
                    self.push(result.map_err(|what| Error::Invalid(what.into()))?)?;
                }

                EMPTY_SET | ADDITEMS | FROZENSET => return Err(self.refused("a set")),
                INST | OBJ | NEWOBJ | NEWOBJ_EX | BUILD => return Err(self.refused("an instance")),
                PERSID | BINPERSID => return Err(self.refused("a persistent id")),
                EXT1 | EXT2 | EXT4 => return Err(self.refused("a registered extension")),
                NEXT_BUFFER | READONLY_BUFFER => return Err(self.refused("an out-of-band buffer")),
                _ => return Err(Error::UnknownOpcode { opcode, offset: self.position - 1 }),
            }
        }
    }

    // Reading the input.

    fn u8(&mut self) -> Result<u8, Error> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        match self.input[self.position..].first_chunk() {
            Some(bytes) => {
                self.position += N;
                Ok(*bytes)
            }
            None => Err(self.truncated()),
        }
    }

    fn length4(&mut self) -> Result<usize, Error> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn length8(&mut self) -> Result<usize, Error> {
        usize::try_from(u64::from_le_bytes(self.array()?)).map_err(|_| self.truncated())
    }

    fn signed_length(&mut self) -> Result<usize, Error> {
        usize::try_from(i32::from_le_bytes(self.array()?)).map_err(|_| self.malformed("negative length"))
    }

    fn take(&mut self, len: usize) -> Result<Span, Error> {
        if len > self.input.len() - self.position {
            return Err(self.truncated());
        }
        // The graph has checked that all positions in the input fit into 32 bits.
        let span = Span { at: self.position as u32, len: len as u32 };
        self.position += len;
        Ok(span)
    }

    /// Takes the text up to the next newline, and skips the newline.
    fn line(&mut self) -> Result<Span, Error> {
        let len = self.input[self.position..].iter().position(|b| *b == b'\n');
        let span = self.take(len.ok_or_else(|| self.truncated())?)?;
        self.position += 1;
        Ok(span)
    }

    fn bytes(&self, span: Span) -> &'de [u8] {
        sub(self.input, span)
    }

    /// Reads a memo index in text form.
    fn index(&mut self) -> Result<u32, Error> {
        let line = self.line()?;
        let index = std::str::from_utf8(self.bytes(line)).ok().and_then(|text| text.trim().parse().ok());
        index.ok_or_else(|| self.malformed("invalid memo index"))
    }

    // Creating leaves.

    fn text(&mut self, len: usize) -> Result<(), Error> {
        let span = self.take(len)?;
        self.push(Node::Text(span))
    }

    fn byte_string(&mut self, len: usize) -> Result<(), Error> {
        let span = self.take(len)?;
        self.push(Node::Bytes(span))
    }

    fn long(&mut self, len: usize) -> Result<(), Error> {
        let span = self.take(len)?;
        let node = big::small(self.bytes(span)).map_or(Node::Long(span), Node::Int);
        self.push(node)
    }

    /// `INT`, which also encodes booleans, and `LONG`, which may end with an `L`.
    fn decimal(&mut self, opcode: u8) -> Result<(), Error> {
        let line = self.line()?;
        let node = match (opcode, self.bytes(line).trim_ascii()) {
            (INT, b"01") => Node::Bool(true),
            (INT, b"00") => Node::Bool(false),
            (_, digits) => {
                let digits = digits.strip_suffix(b"L").unwrap_or(digits);
                let text = std::str::from_utf8(digits).map_err(|_| self.malformed("invalid integer"))?;
                match text.parse() {
                    Ok(n) => Node::Int(n),
                    Err(_) => {
                        let n = BigInt::from_decimal(text)?;
                        let span = self.graph.unescape(|out| {
                            out.extend_from_slice(n.as_le_bytes());
                            Some(())
                        })?;
                        let span = span.ok_or_else(|| self.malformed("invalid integer"))?;
                        // A small number may have leading zeros.
                        n.to_i64().map_or(Node::Long(span), Node::Int)
                    }
                }
            }
        };
        self.push(node)
    }

    // The stack.

    fn push(&mut self, node: Node) -> Result<(), Error> {
        if self.stack.len() >= self.max_items {
            return Err(self.too_many());
        }
        self.stack.push(node);
        Ok(())
    }

    /// The stack height of the innermost mark, below which opcodes may not pop.
    fn floor(&self) -> usize {
        self.marks.last().map_or(0, |mark| *mark as usize)
    }

    /// The index of the object `count` positions below the top.
    fn below(&self, count: usize) -> Result<usize, Error> {
        match self.stack.len().checked_sub(count) {
            Some(at) if at >= self.floor() => Ok(at),
            _ => Err(self.underflow()),
        }
    }

    fn top(&self) -> Result<Node, Error> {
        self.below(1).map(|at| self.stack[at])
    }

    fn pop(&mut self) -> Result<Node, Error> {
        let at = self.below(1)?;
        let node = self.stack[at];
        self.stack.truncate(at);
        Ok(node)
    }

    fn mark(&mut self) -> Result<usize, Error> {
        match self.marks.pop() {
            Some(mark) => Ok(mark as usize),
            None => Err(self.underflow()),
        }
    }

    fn recall(&mut self, index: u32) -> Result<(), Error> {
        let node = self.memo.get(index).ok_or_else(|| self.malformed("unknown memo index"))?;
        self.push(node)
    }

    // Creating containers from the stack's objects at `from` and above.

    fn tuple(&mut self, from: usize) -> Result<(), Error> {
        self.check_members()?;
        let (at, len) = self.graph.row(&self.stack[from..])?;
        self.stack.truncate(from);
        self.push(Node::Tuple { at, len })
    }

    fn list(&mut self, from: usize) -> Result<(), Error> {
        self.check_members()?;
        let first = self.graph.chain(&self.stack[from..])?;
        self.stack.truncate(from);
        self.push(Node::List(first))
    }

    fn dict(&mut self, from: usize) -> Result<(), Error> {
        self.check_members()?;
        self.pairs(from)?;
        let first = self.graph.chain(&self.stack[from..])?;
        self.stack.truncate(from);
        self.push(Node::Dict(first))
    }

    fn append(&mut self, from: usize) -> Result<(), Error> {
        self.check_members()?;
        match from.checked_sub(1).filter(|at| *at >= self.floor()).map(|at| self.stack[at]) {
            Some(Node::List(first)) => self.graph.extend(first, &self.stack[from..])?,
            Some(_) => return Err(self.malformed("append to an object that is not a list")),
            None => return Err(self.underflow()),
        }
        self.stack.truncate(from);
        Ok(())
    }

    fn set_items(&mut self, from: usize) -> Result<(), Error> {
        self.check_members()?;
        self.pairs(from)?;
        match from.checked_sub(1).filter(|at| *at >= self.floor()).map(|at| self.stack[at]) {
            Some(Node::Dict(first)) => self.graph.extend(first, &self.stack[from..])?,
            Some(_) => return Err(self.malformed("entries for an object that is not a dict")),
            None => return Err(self.underflow()),
        }
        self.stack.truncate(from);
        Ok(())
    }

    fn pairs(&self, from: usize) -> Result<(), Error> {
        if (self.stack.len() - from).is_multiple_of(2) {
            Ok(())
        } else {
            Err(self.malformed("key without a value"))
        }
    }

    /// Checks that containers may still grow. A peer can fill them from the memo at little cost.
    fn check_members(&self) -> Result<(), Error> {
        if self.graph.member_count() > self.max_items { Err(self.too_many()) } else { Ok(()) }
    }

    // Errors.

    fn truncated(&self) -> Error {
        Error::Truncated { length: self.input.len() }
    }

    fn malformed(&self, what: &'static str) -> Error {
        Error::Malformed { what, offset: self.position }
    }

    fn refused(&self, what: &'static str) -> Error {
        Error::Refused { what, offset: self.position - 1 }
    }

    fn underflow(&self) -> Error {
        self.malformed("too few operands")
    }

    fn too_many(&self) -> Error {
        Error::Limit { what: "items", limit: self.max_items }
    }
}

fn sub(input: &[u8], span: Span) -> &[u8] {
    &input[span.at as usize..span.at as usize + span.len as usize]
}
