//! Malicious input: decoding must end with a value or an error, within a bounded time.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::{Decoder, Error, Limits, Value, decode, decode_all, from_bytes};
use super::{hex, text};

/// A small generator of numbers, the same in every run (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides
    }
}

/// A list that holds itself many times over, level by level.
fn bomb(levels: usize) -> Vec<u8> {
    let mut out = b"\x80\x02]q\x00".to_vec();
    for level in 1..=levels {
        out.extend_from_slice(b"](");
        for _ in 0..10 {
            out.extend_from_slice(&[b'h', level as u8 - 1]);
        }
        out.extend_from_slice(&[b'e', b'q', level as u8]);
    }
    out.push(b'.');
    out
}

#[test]
fn shared_objects_are_limited() {
    assert!(decode(&bomb(3)).is_ok());
    let limits = Limits { items: 100_000, ..Limits::default() };
    let input = bomb(60);
    let mut decoder = Decoder::with_limits(&input, limits).unwrap();
    assert_eq!(decoder.value(), Err(Error::Limit { what: "items", limit: 100_000 }));
    // Typed decoding counts as well.
    #[derive(Debug, Deserialize)]
    struct Nested(#[expect(dead_code, reason = "only decoding it counts")] Vec<Nested>);
    let mut decoder = Decoder::with_limits(&input, limits).unwrap();
    assert_eq!(decoder.read::<Nested>().unwrap_err(), Error::Limit { what: "items", limit: 100_000 });
    assert!(from_bytes::<IgnoredAny>(&input).is_ok(), "what is not looked at costs nothing");
}

#[test]
fn shared_text_is_limited() {
    let mut input = b"\x80\x02(X\x00\x00\x10\x00".to_vec();
    input.resize(input.len() + (1 << 20), b'x');
    input.extend_from_slice(b"q\x00");
    for _ in 0..10_000 {
        input.extend_from_slice(b"h\x00");
    }
    input.extend_from_slice(b"t.");
    assert!(matches!(decode(&input), Err(Error::Limit { what: "copied bytes", .. })));
}

#[test]
fn recursive_objects_are_limited() {
    for input in ["8002 5d 7100 6800 61 2e", "8002 7d 7100 4b01 6800 73 2e", "8002 5d 7100 6800 85 61 2e"] {
        let error = decode(&hex(input)).unwrap_err();
        assert_eq!(error, Error::Limit { what: "nested containers", limit: 256 }, "{input}");
    }
    // How picklers write a tuple that holds a list that holds the tuple.
    assert!(matches!(decode(&hex("8002 5d 7100 6800 85 7101 61 30 6801 2e")), Err(Error::Limit { .. })));
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    for opcode in [b"\x85".as_slice(), b"\x85]\x86"] {
        let mut input = b"\x80\x02N".to_vec();
        for _ in 0..1_000_000 {
            input.extend_from_slice(opcode);
        }
        input.push(b'.');
        assert!(matches!(decode(&input), Err(Error::Limit { .. })));
    }
}

#[test]
fn many_small_pickles_of_one_large_object_are_limited() {
    let mut input = b"\x80\x02(".to_vec();
    input.resize(input.len() + 100_000, b'N');
    input.extend_from_slice(b"tq\x00.");
    for _ in 0..100_000 {
        input.extend_from_slice(b"h\x00.");
    }
    assert!(matches!(decode_all(&Bytes::from(input)), Err(Error::Limit { what: "items", .. })));
}

/// Pickles of every shape, as starting points.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = [
        "8002 28 4e 58 05000000 \"posix\" 7100 4e 58 06000000 \"getpid\" 7101 29 63 \"mitogen.core\\nKwargs\\n\" 7102 7d 7103 85 7104 52 7105 74 7106 2e",
        "8002 \"cmitogen.core\\nBlob\\n\" \"c_codecs\\nencode\\n\" 58 02000000 c3bf 58 06000000 \"latin1\" 86 52 85 52 2e",
        "8002 \"cmitogen.core\\n_unpickle_context\\n\" 4b03 58 01000000 \"n\" 86 7101 52 6801 86 2e",
        "8002 \"cmitogen.core\\n_unpickle_sender\\n\" 4b03 4de803 86 52 2e 8002 6800 2e",
        "8002 \"cmitogen.core\\n_unpickle_call_error\\n\" 58 02000000 \"no\" 85 52 2e",
        "8002 7d 7101 28 4b01 4e 47 3fe0000000000000 88 8a09 000000000000008000 5d 7102 28 4b01 6801 65 75 29 89 73 2e",
        "8004 95 2000000000000000 8c01 61 94 7d 94 28 68 00 43 01 61 8d 0100000000000000 61 4b06 32 75 86 2e",
        "\"(lp0\\n(dp1\\nVk\\u00e9\\np2\\nL18446744073709551616L\\nsS'a\\x00'\\nF1.5\\nI01\\n(I1\\ng2\\nttp3\\na.\"",
        "8002 5d 7100 28 4b01 30 28 4b02 31 6800 85 7101 65 30 6801 2e",
        "8002 8002 5d 28 58 03000000 eda080 55 03 \"abc\" 54 03000000 \"abc\" 65 2e",
    ]
    .iter()
    .map(|seed| hex(seed))
    .collect();
    seeds.push(bomb(4));
    seeds.push(super::super::to_vec(&vec![text("x"); 30]).unwrap());
    seeds
}

#[test]
fn mutated_pickles_neither_panic_nor_hang() {
    const OPCODES: &[u8] = b"(.012FIJKLMNPQRSTUVXabcd}eghijl]opqrst)uG\x80\x81\x85\x86\x87\x88\x89\x8a\x8b\
                             BC\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96\x97\x98";
    let limits = Limits { depth: 64, items: 20_000, copied: 1 << 20 };
    let seeds = seeds();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut good = 0;
    for _ in 0..150_000 {
        let mut input = seeds[dice.roll(seeds.len())].clone();
        for _ in 0..=dice.roll(2) * dice.roll(4) {
            let at = dice.roll(input.len().max(1)).min(input.len().saturating_sub(1));
            match dice.roll(6) {
                0 if !input.is_empty() => input[at] = dice.roll(256) as u8,
                1 if !input.is_empty() => input[at] = OPCODES[dice.roll(OPCODES.len())],
                2 => input.insert(at, OPCODES[dice.roll(OPCODES.len())]),
                3 => input.truncate(at),
                4 => {
                    let other = &seeds[dice.roll(seeds.len())];
                    let from = dice.roll(other.len());
                    let to = from + dice.roll(other.len() - from);
                    input.splice(at..at, other[from..to].iter().copied());
                }
                _ if !input.is_empty() => {
                    input.remove(at);
                }
                _ => {}
            }
        }
        let input = Bytes::from(input);
        let mut decoder = Decoder::shared_with_limits(&input, limits).unwrap();
        while !decoder.at_end() {
            match decoder.value() {
                // Whatever was accepted can be sent on.
                Ok(value) => {
                    good += 1;
                    super::super::to_vec(&value).unwrap();
                }
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    break;
                }
            }
        }
        let mut decoder = Decoder::with_limits(&input, limits).unwrap();
        if let Ok(value) = decoder.read::<serde_json::Value>() {
            drop(value);
        }
    }
    assert!(good > 3000, "only {good} mutants were still pickles: the test lost its bite");
}

#[test]
fn random_opcodes_neither_panic_nor_hang() {
    let limits = Limits { depth: 64, items: 20_000, copied: 1 << 20 };
    let mut dice = Dice(42);
    let mut good = 0;
    for _ in 0..100_000 {
        let mut input = Vec::new();
        for _ in 0..dice.roll(40) {
            match dice.roll(24) {
                0 => input.extend_from_slice(b"(("),
                1 => input.extend_from_slice(b"]q\x00"),
                2 => input.extend_from_slice(b"}q\x01"),
                3 => input.extend_from_slice(b"h\x00"),
                4 => input.extend_from_slice(b"h\x01"),
                5 => input.extend_from_slice(b"X\x02\x00\x00\x00ab"),
                6 => input.extend_from_slice(b"U\x02ab"),
                7 => input.extend_from_slice(b"c_codecs\nencode\n"),
                8 => input.extend_from_slice(b"cmitogen.core\nKwargs\n"),
                9 => input.extend_from_slice(b"\x8a\x09123456789"),
                n => input.push(b"N\x85\x86\x87)aestlud0R"[n - 10]),
            }
        }
        input.extend_from_slice(b"t.");
        let decoded = Decoder::with_limits(&input, limits).unwrap().value();
        good += usize::from(matches!(decoded, Ok(Value::Tuple(_))));
    }
    assert!(good > 200, "only {good} were pickles: the test lost its bite");
}
