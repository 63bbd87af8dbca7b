//! Decoding: the bytes that peers send, and their values.

use bytes::Bytes;

use super::super::{BigInt, Decoder, Error, Limits, Secret, Value, decode, decode_all, decode_shared};
use super::{bytes, dict, hex, list, surrogates, text, tuple};
use crate::ids::{ContextId, Handle};

#[track_caller]
fn check(input: &str, want: Value) {
    let input = hex(input);
    assert_eq!(decode(&input), Ok(want), "{}", input.escape_ascii());
}

#[track_caller]
fn check_error(input: &str, want: &str) {
    let input = hex(input);
    let error = decode(&input).expect_err(&input.escape_ascii().to_string());
    assert_eq!(error.to_string(), want, "{}", input.escape_ascii());
}

#[test]
fn plain_data_of_protocol_2() {
    check("80024e2e", Value::None);
    check("8002882e", Value::Bool(true));
    check("8002892e", Value::Bool(false));
    check("80024b072e", Value::Int(7));
    check("80024d8c392e", Value::Int(14732));
    check("80024affffffff2e", Value::Int(-1));
    check("8002 4a 00000080 2e", Value::Int(-(1 << 31)));
    check("8002 8a06 000000000001 2e", Value::Int(1 << 40));
    check("8002 8a00 2e", Value::Int(0));
    check("8002 8a01 ff 2e", Value::Int(-1));
    check("8002 8a08 0000000000000080 2e", Value::Int(i64::MIN));
    check("8002 8a0a 01000000000000000000 2e", Value::Int(1));
    check("8002 8a09 000000000000008000 2e", Value::Big(BigInt::from(1i128 << 63)));
    check("8002 8b 09000000 ffffffffffffffff00 2e", Value::Big(u64::MAX.into_big()));
    check("8002 \"I1099511627776\\n\" 2e", Value::Int(1 << 40));
    check("8002 \"I01\\n\" 2e", Value::Bool(true));
    check("8002 \"I00\\n\" 2e", Value::Bool(false));
    check("8002 \"L-18446744073709551616L\\n\" 2e", Value::Big(BigInt::from(-(1i128 << 64))));
    check("8002 \"L00000000000000000000000005L\\n\" 2e", Value::Int(5));
    check("8002 47 3ff8000000000000 2e", Value::Float(1.5));
    check("8002 58 02000000 c3a9 2e", text("é"));
    check("8002 58 03000000 eda080 2e", surrogates(b"\xed\xa0\x80"));
    check("8002 55 02 00ff 2e", bytes(b"\x00\xff"));
    check("8002 54 03000000 \"abc\" 2e", bytes(b"abc"));
    check("8002 29 2e", tuple([]));
    check("8002 4e 85 2e", tuple([Value::None]));
    check("8002 4b01 4b02 86 71 01 2e", tuple([1.into(), 2.into()]));
    check("8002 4b01 4b02 4b03 87 2e", tuple([1.into(), 2.into(), 3.into()]));
    check("8002 28 4b01 4b02 4b03 4b04 74 2e", tuple([1.into(), 2.into(), 3.into(), 4.into()]));
    check("8002 5d 2e", list([]));
    check("8002 5d 7100 4b01 61 2e", list([1.into()]));
    check("8002 5d 28 4b01 4b02 65 28 4b03 65 2e", list([1.into(), 2.into(), 3.into()]));
    check("8002 7d 2e", dict([]));
    check("8002 7d 55 01 \"k\" 4e 73 2e", dict([(bytes(b"k"), Value::None)]));
    check(
        "8002 7d 28 4b01 4e 47 3fe0000000000000 88 75 29 89 73 2e",
        dict([(1.into(), Value::None), (0.5.into(), Value::Bool(true)), (tuple([]), Value::Bool(false))]),
    );
}

trait IntoBig {
    fn into_big(self) -> BigInt;
}

impl IntoBig for u64 {
    fn into_big(self) -> BigInt {
        i128::from(self).into()
    }
}

#[test]
fn members_created_between_batches() {
    // A list grows, other containers are made, and it grows again.
    check(
        "8002 5d 28 4b01 5d 4b02 61 65 4b03 85 61 4b04 61 2e",
        list([1.into(), list([2.into()]), tuple([3.into()]), 4.into()]),
    );
}

#[test]
fn other_protocols() {
    check("\"I5\\n.\"", Value::Int(5));
    check("\"F-1e+300\\n.\"", Value::Float(-1e300));
    check("\"Finf\\n.\"", Value::Float(f64::INFINITY));
    check("53 27 61 5c 5c 6e 27 0a 2e", bytes(b"a\\n"));
    check("53 27 5c 78 30 30 27 0a 2e", bytes(b"\0"));
    check("\"Vplain\\n.\"", text("plain"));
    check("\"V\\u00e9\\n.\"", text("é"));
    check("56 e9 0a 2e", text("é"));
    check("\"V\\ud800\\n.\"", surrogates(b"\xed\xa0\x80"));
    check("\"(lp0\\nI1\\naI2\\na.\"", list([1.into(), 2.into()]));
    check("\"(dp0\\nVk\\np1\\nI1\\ns.\"", dict([(text("k"), 1.into())]));
    check("\"(I1\\nI2\\ntp0\\n.\"", tuple([1.into(), 2.into()]));
    check("\"(t.\"", tuple([]));
    check("\"(Vx\\np5\\ng5\\nt.\"", tuple([text("x"), text("x")]));
    check("8003 43 02 00ff 2e", bytes(b"\x00\xff"));
    check("8003 42 01000000 61 2e", bytes(b"a"));
    check("8004 95 0400000000000000 8c01 61 94 2e", text("a"));
    check("8004 8d 0100000000000000 61 2e", text("a"));
    check("8004 8e 0100000000000000 61 2e", bytes(b"a"));
    check("8005 96 0100000000000000 61 2e", bytes(b"a"));
    check("8004 8c01 61 94 68 00 86 94 68 01 86 2e", {
        let inner = tuple([text("a"), text("a")]);
        tuple([inner.clone(), inner])
    });
    check(
        "8004 8c0c \"mitogen.core\" 8c04 \"Blob\" 93 43 01 61 85 52 2e",
        Value::Blob(Bytes::from_static(b"a")),
    );
    check("8002 4b05 30 4b06 2e", Value::Int(6));
    check("8002 4b06 28 4b01 4b02 31 2e", Value::Int(6));
    check("8002 4b06 28 30 2e", Value::Int(6));
    check("8002 4b06 32 86 2e", tuple([6.into(), 6.into()]));
}

#[test]
fn globals() {
    check(
        "8002 \"c_codecs\\nencode\\n\" 58 03000000 61c3bf 58 06000000 \"latin1\" 86 52 2e",
        bytes(b"a\xff"),
    );
    check("8002 \"c__builtin__\\nbytes\\n\" 29 52 2e", bytes(b""));
    check("8002 \"cbuiltins\\nbytes\\n\" 43 01 61 85 52 2e", bytes(b"a"));
    check(
        "8002 \"c__builtin__\\nbytearray\\n\" 58 02000000 c3bf 58 07000000 \"latin-1\" 86 52 2e",
        bytes(b"\xff"),
    );
    check("8002 \"cmitogen.core\\nBlob\\n\" 55 01 61 85 52 2e", Value::Blob(Bytes::from_static(b"a")));
    check(
        "8002 \"cmitogen.core\\nBlob\\n\" \"c_codecs\\nencode\\n\" 58 02000000 c3bf 58 06000000 \"latin1\" 86 52 85 52 2e",
        Value::Blob(Bytes::from_static(b"\xff")),
    );
    check("8002 \"cmitogen.core\\nSecret\\n\" 58 02000000 \"pw\" 85 52 2e", Value::Secret(Secret::new("pw")));
    check(
        "8002 \"cmitogen.core\\nKwargs\\n\" 7d 55 01 \"k\" 4b01 73 85 52 2e",
        Value::Kwargs(vec![(bytes(b"k"), 1.into())]),
    );
    for name in ["_unpickle_call_error", "CallError"] {
        check(
            &format!("8002 \"cmitogen.core\\n{name}\\n\" 58 02000000 \"no\" 85 52 2e"),
            Value::CallError("no".into()),
        );
    }
    check(
        "8002 \"cmitogen.core\\n_unpickle_context\\n\" 4b03 58 01000000 \"n\" 86 52 2e",
        Value::Context { id: ContextId(3), name: Some("n".into()) },
    );
    check(
        "8002 \"cmitogen.core\\n_unpickle_context\\n\" \"I4294967295\\n\" 4e 86 52 2e",
        Value::Context { id: ContextId(u32::MAX), name: None },
    );
    check(
        "8002 \"cmitogen.core\\n_unpickle_sender\\n\" 4b03 4de803 86 52 2e",
        Value::Sender { context: ContextId(3), handle: Handle(1000) },
    );
}

#[test]
fn globals_that_are_not_allowed() {
    check_error("8002 \"cposix\\nsystem\\n\" 2e", "cannot unpickle 'posix'/'system'");
    check_error("8002 \"c__builtin__\\nset\\n\" 2e", "cannot unpickle '__builtin__'/'set'");
    check_error("8004 8c02 \"os\" 8c04 \"exec\" 93 2e", "cannot unpickle 'os'/'exec'");
    check_error("8002 63 ff 0a 27 0a 2e", "cannot unpickle '\\xff'/'\\''");
    let long = format!("8002 \"c{}\\nx\\n\" 2e", "m".repeat(500));
    check_error(&long, &format!("cannot unpickle '{}...'/'x'", "m".repeat(100)));
    check_error("8002 \"cmitogen.core\\nBlob\\n\" 2e", "malformed pickle at byte 22: a function is not data");
    check_error("8004 8f 2e", "cannot unpickle a set at byte 2: only plain data is accepted");
    check_error("8002 5d 7d 62 2e", "cannot unpickle an instance at byte 4: only plain data is accepted");
    check_error("\"P5\\n.\"", "cannot unpickle a persistent id at byte 0: only plain data is accepted");
    for (arguments, want) in [
        ("\"Blob\\n\" 58 01000000 61 85", "a Blob takes one byte string"),
        ("\"Blob\\n\" 29", "a Blob takes one byte string"),
        ("\"Kwargs\\n\" 5d 85", "Kwargs take one dict"),
        ("\"Secret\\n\" 4e 85", "a Secret takes one text"),
        ("\"CallError\\n\" 55 01 61 85", "a CallError takes one text"),
        ("\"_unpickle_context\\n\" 88 4e 86", "a Context takes an id of 32 bits and a name"),
        ("\"_unpickle_context\\n\" 4affffffff 4e 86", "a Context takes an id of 32 bits and a name"),
        ("\"_unpickle_context\\n\" 4b01 55 01 61 86", "a Context takes an id of 32 bits and a name"),
        ("\"_unpickle_sender\\n\" 4b01 4b00 86", "a Sender takes two numbers of 32 bits"),
        ("\"_unpickle_sender\\n\" 4b01 85", "a Sender takes two numbers of 32 bits"),
        ("\"Blob\\n\" 5d", "the arguments of a call are not a tuple"),
    ] {
        check_error(
            &format!("8002 \"cmitogen.core\\n\" {arguments} 52 2e"),
            &format!("invalid message: {want}"),
        );
    }
    check_error(
        "8002 \"c_codecs\\nencode\\n\" 58 03000000 e282ac 58 06000000 \"latin1\" 86 52 2e",
        "invalid message: text of a byte string contains characters beyond latin-1",
    );
}

#[test]
fn the_length_of_call_errors_is_limited_as_in_upstream_mitogen() {
    let pickle = |text: &str| {
        let mut out = b"\x80\x02cmitogen.core\n_unpickle_call_error\nX".to_vec();
        out.extend_from_slice(&(text.len() as u32).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(b"\x85R.");
        out
    };
    let longest = "é".repeat(9999);
    assert_eq!(decode(&pickle(&longest)), Ok(Value::CallError(longest)));
    let error = decode(&pickle(&"é".repeat(10000))).unwrap_err();
    assert_eq!(error.to_string(), "invalid message: Required length 0..9999, got 10000");
}

#[test]
fn captured_messages() {
    check(
        "8002 28 4e 58 05000000 \"posix\" 7100 4e 58 06000000 \"getpid\" 7101 29 \
         63 \"mitogen.core\\nKwargs\\n\" 7102 7d 7103 85 7104 52 7105 74 7106 2e",
        tuple([Value::None, text("posix"), Value::None, text("getpid"), tuple([]), Value::Kwargs(vec![])]),
    );
    check(
        "8002 28 58 0f000000 \"nonexistent_mod\" 7100 4e 4e 4e 29 74 7101 2e",
        tuple([text("nonexistent_mod"), Value::None, Value::None, Value::None, tuple([])]),
    );
}

#[test]
fn the_beginning_of_a_failed_pickle_is_skipped() {
    let error = "\"cmitogen.core\\n_unpickle_call_error\\n\" 58 01000000 \"x\" 85 52 2e";
    check(&format!("8002 8002 {error}"), Value::CallError("x".into()));
    check(&format!("8002 5d 7101 28 4b01 58 01000000 \"y\" 8002 {error}"), Value::CallError("x".into()));
}

#[test]
fn several_pickles_share_the_memo() {
    let input = Bytes::from(hex(
        "8002 58 03000000 \"pkg\" 7100 58 01000000 \"r\" 7101 86 7102 2e 8002 54 04000000 \"data\" 2e 8002 68 00 2e",
    ));
    let want = vec![tuple([text("pkg"), text("r")]), bytes(b"data"), text("pkg")];
    assert_eq!(decode_all(&input), Ok(want.clone()));
    assert_eq!(decode(&input), Ok(want[0].clone()));
    assert_eq!(decode_all(&Bytes::new()), Ok(vec![]));
    assert_eq!(decode(b""), Err(Error::Empty));
    let mut decoder = Decoder::shared(&input).unwrap();
    let ((package, name), content): ((&str, String), &[u8]) =
        (decoder.read().unwrap(), decoder.read().unwrap());
    assert_eq!((package, name.as_str(), content), ("pkg", "r", &b"data"[..]));
}

#[test]
fn memo_indices_with_gaps() {
    check("8002 4b01 72 40420f00 30 4b02 71 05 30 6a 40420f00 68 05 86 2e", tuple([1.into(), 2.into()]));
    check("8002 4b01 72 ffffffff 6a ffffffff 86 2e", tuple([1.into(), 1.into()]));
    check("8002 4b01 7100 4b02 7100 6800 87 2e", tuple([1.into(), 2.into(), 2.into()]));
}

#[test]
fn malformed() {
    for (input, want) in [
        ("80", "truncated pickle of 1 bytes"),
        ("80024e", "truncated pickle of 3 bytes"),
        ("8002 4a 0000 2e", "truncated pickle of 6 bytes"),
        ("8002 58 ffffffff 61 2e", "truncated pickle of 9 bytes"),
        ("8004 8e ffffffffffffffff 61 2e", "truncated pickle of 13 bytes"),
        ("\"I12\"", "truncated pickle of 3 bytes"),
        ("8006 4e 2e", "malformed pickle at byte 2: unsupported pickle protocol"),
        ("2e", "malformed pickle at byte 1: too few operands"),
        ("8002 54 ffffffff 2e", "malformed pickle at byte 7: negative length"),
        ("8002 74 2e", "malformed pickle at byte 3: too few operands"),
        ("8002 4b01 86 2e", "malformed pickle at byte 5: too few operands"),
        ("8002 5d 28 4b01 61 2e", "malformed pickle at byte 7: too few operands"),
        ("8002 4b01 28 65 2e", "malformed pickle at byte 6: append to an object that is not a list"),
        ("8002 5d 4b01 4b02 73 2e", "malformed pickle at byte 8: entries for an object that is not a dict"),
        ("8002 7d 28 4b01 75 2e", "malformed pickle at byte 7: key without a value"),
        ("8002 28 4b01 64 2e", "malformed pickle at byte 6: key without a value"),
        ("8002 68 00 2e", "malformed pickle at byte 4: unknown memo index"),
        ("8002 71 00 2e", "malformed pickle at byte 4: too few operands"),
        ("8002 4e 29 52 2e", "malformed pickle at byte 5: a call of an object that is not a function"),
        ("\"Ix\\n.\"", "invalid message: not a decimal integer"),
        ("\"Fx\\n.\"", "malformed pickle at byte 3: invalid float"),
        ("\"gx\\n.\"", "malformed pickle at byte 3: invalid memo index"),
        ("\"V\\u12\\n.\"", "malformed pickle at byte 6: invalid text escape"),
        ("\"Sx\\n.\"", "malformed pickle at byte 3: invalid string literal"),
        ("8002 58 01000000 ff 2e", "invalid message: text is not UTF-8"),
        ("8002 ff 2e", "unknown pickle opcode 0xff at byte 2"),
    ] {
        check_error(input, want);
    }
}

#[test]
fn large_byte_strings_share_the_message() {
    let content = vec![0xa5; 16 << 20];
    let mut message = b"\x80\x02U\x03abcT".to_vec();
    message.extend_from_slice(&(content.len() as u32).to_le_bytes());
    message.extend_from_slice(&content);
    message.extend_from_slice(b"\x86.");
    let message = Bytes::from(message);
    let Ok(Value::Tuple(items)) = decode_shared(&message) else { panic!("no tuple") };
    let large = items[1].as_bytes().unwrap();
    assert_eq!(large, &content);
    assert!(message.as_ptr_range().contains(&large.as_ptr()), "the byte string was copied");
    let small = items[0].as_bytes().unwrap();
    assert!(!message.as_ptr_range().contains(&small.as_ptr()), "three bytes keep 16 MiB alive");
}

#[test]
fn limits() {
    let limits = Limits { depth: 2, items: 6, copied: 8 };
    let run =
        |input: &str| Decoder::with_limits(&hex(input), limits).unwrap().value().map_err(|e| e.to_string());
    assert!(run("8002 4e 85 85 2e").is_ok());
    assert_eq!(run("8002 4e 85 85 85 2e").unwrap_err(), "pickle exceeds the limit of 2 nested containers");
    assert!(run("8002 28 4e4e4e4e4e 74 2e").is_ok());
    assert_eq!(run("8002 28 4e4e4e4e4e4e 74 2e").unwrap_err(), "pickle exceeds the limit of 6 items");
    assert_eq!(run("8002 4e4e4e4e4e4e4e 2e").unwrap_err(), "pickle exceeds the limit of 6 items");
    assert_eq!(run("8002 28282828282828 2e").unwrap_err(), "pickle exceeds the limit of 6 items");
    assert!(run("8002 58 08000000 \"12345678\" 2e").is_ok());
    let twice = run("8002 58 05000000 \"12345\" 7100 6800 86 2e");
    assert_eq!(twice.unwrap_err(), "pickle exceeds the limit of 8 copied bytes");
    // The limits hold for the message, not for each pickle.
    let input = hex("8002 28 4e4e4e4e 74 7100 2e 8002 6800 2e");
    let mut decoder = Decoder::with_limits(&input, limits).unwrap();
    assert!(decoder.value().is_ok());
    assert!(matches!(decoder.value(), Err(Error::Limit { .. })));
}
