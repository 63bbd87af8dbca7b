//! Decoding into Rust types.

use std::collections::BTreeMap;
use std::fmt::Debug;

use bytes::Bytes;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use super::super::{
    BigInt, Binary, Blob, CallErrorText, ContextRef, Error, Kwargs, Secret, SenderRef, Value, from_bytes,
    from_shared, to_bytes,
};
use super::{bytes, dict, hex, list, surrogates, text, tuple};
use crate::ids::{ContextId, Handle};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Nothing,
    Scaled(u8),
    Pair(u8, u8),
    At { x: u8, y: u8 },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Everything {
    none: Option<u8>,
    some: Option<u8>,
    unit: (),
    number: u64,
    wide: i128,
    float: f64,
    letter: char,
    text: String,
    tuple: (u8, String),
    list: Vec<Shape>,
    map: BTreeMap<i32, String>,
    binary: Binary,
    blob: Blob,
    big: BigInt,
    any: Value,
    secret: Secret,
    keywords: Kwargs<BTreeMap<String, u8>>,
    context: ContextRef,
    sender: SenderRef,
}

#[track_caller]
fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T) {
    let message = to_bytes(&value).unwrap();
    assert_eq!(from_bytes::<T>(&message).as_ref(), Ok(&value));
    assert_eq!(from_shared::<T>(&message), Ok(value));
}

#[test]
fn types_round_trip() {
    round_trip(Everything {
        none: None,
        some: Some(1),
        unit: (),
        number: u64::MAX,
        wide: i128::MIN,
        float: 0.1,
        letter: 'é',
        text: "text".into(),
        tuple: (1, "x".into()),
        list: vec![Shape::Nothing, Shape::Scaled(2), Shape::Pair(1, 2), Shape::At { x: 1, y: 2 }],
        map: [(1, "one".into()), (2, "two".into())].into(),
        binary: vec![1, 2, 3].into(),
        blob: vec![7; 5000].into(),
        big: BigInt::from_decimal("-123456789012345678901234567890123456789012345").unwrap(),
        any: list([
            tuple([1.into(), Value::Blob(Bytes::from_static(b"x"))]),
            dict([(text("k"), bytes(b"v"))]),
        ]),
        secret: Secret::new("pw"),
        keywords: Kwargs([("k".into(), 1)].into()),
        context: ContextRef { id: ContextId(3), name: Some("three".into()) },
        sender: SenderRef { context: ContextId(3), handle: Handle(1001) },
    });
    round_trip(CallErrorText("a.B: c".into()));
    round_trip(u128::MAX);
    round_trip(i64::MIN);
}

#[test]
fn python_2_strings_decode_as_text_where_text_is_required() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Named<'a> {
        name: &'a str,
        shape: Shape,
    }
    let input = hex("8002 7d 28 55 04 \"name\" 58 01000000 \"n\" 55 05 \"shape\" 55 07 \"Nothing\" 75 2e");
    assert_eq!(from_bytes(&input), Ok(Named { name: "n", shape: Shape::Nothing }));
    let input =
        hex("8002 7d 28 55 04 \"name\" 55 01 \"n\" 55 05 \"shape\" 7d 55 06 \"Scaled\" 4b05 73 75 2e");
    assert_eq!(from_bytes(&input), Ok(Named { name: "n", shape: Shape::Scaled(5) }));
    assert_eq!(from_bytes::<String>(&hex("8002 55 01 \"n\" 2e")), Ok("n".into()));
    assert!(matches!(from_bytes::<String>(&hex("8002 55 01 ff 2e")), Err(Error::Type(_))));
}

#[test]
fn lists_and_tuples_are_interchangeable() {
    let input = hex("8002 5d 28 4b01 4b02 65 2e");
    assert_eq!(from_bytes(&input), Ok((1, 2)));
    assert_eq!(from_bytes(&input), Ok([1, 2]));
    assert_eq!(from_bytes(&hex("8002 4b01 4b02 86 2e")), Ok(vec![1, 2]));
    assert!(matches!(from_bytes::<(u8,)>(&input), Err(Error::Type(_))));
    assert!(matches!(from_bytes::<(u8, u8, u8)>(&input), Err(Error::Type(_))));
}

#[test]
fn wrong_types_give_readable_errors() {
    for (error, want) in [
        (from_bytes::<u8>(&to_bytes("x").unwrap()).unwrap_err(), "invalid type: string \"x\", expected u8"),
        (
            from_bytes::<u8>(&to_bytes(&300).unwrap()).unwrap_err(),
            "invalid value: integer `300`, expected u8",
        ),
        (
            from_bytes::<Binary>(&to_bytes(&5).unwrap()).unwrap_err(),
            "invalid type: integer `5`, expected a byte string",
        ),
        (
            from_bytes::<Shape>(&to_bytes(&5).unwrap()).unwrap_err(),
            "enum Shape requires a text or a dict with one entry",
        ),
        (
            from_bytes::<i128>(&to_bytes(&BigInt::from_le_bytes(&[1; 20])).unwrap()).unwrap_err(),
            "invalid type: big integer, expected i128",
        ),
        (from_bytes::<u8>(&to_bytes(&Secret::new("hunter2")).unwrap()).unwrap_err(), "unexpected secret"),
        (
            from_bytes::<Binary>(&to_bytes(&Secret::new("hunter2")).unwrap()).unwrap_err(),
            "invalid type: secret, expected a byte string",
        ),
    ] {
        assert_eq!(error.to_string(), want);
    }
    assert!(from_bytes::<String>(&to_bytes(&surrogates(b"\xed\xa0\x80")).unwrap()).is_err());
}

#[test]
fn call_errors_are_errors_unless_expected() {
    let message = to_bytes(&CallErrorText("a.B: c".into())).unwrap();
    assert_eq!(from_bytes::<u8>(&message), Err(Error::Call(CallErrorText("a.B: c".into()))));
    assert_eq!(from_bytes::<Option<Shape>>(&message), Err(Error::Call(CallErrorText("a.B: c".into()))));
    assert_eq!(from_bytes::<()>(&message), Err(Error::Call(CallErrorText("a.B: c".into()))));
    assert_eq!(from_bytes::<CallErrorText>(&message), Ok(CallErrorText("a.B: c".into())));
    assert_eq!(from_bytes::<Value>(&message), Ok(Value::CallError("a.B: c".into())));
}

#[test]
fn large_typed_byte_strings_share_the_message() {
    #[derive(Serialize, Deserialize)]
    struct File {
        name: String,
        content: Binary,
    }
    let message = to_bytes(&File { name: "n".into(), content: vec![5; 1 << 20].into() }).unwrap();
    let file: File = from_shared(&message).unwrap();
    assert_eq!((file.name.as_str(), file.content.0.len()), ("n", 1 << 20));
    assert!(message.as_ptr_range().contains(&file.content.0.as_ptr()), "the byte string was copied");
}

#[test]
fn unknown_fields_and_values_can_be_skipped() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Small {
        x: u8,
    }
    let message = to_bytes(&dict([(text("y"), list([1.into(), list([])])), (text("x"), 1.into())])).unwrap();
    assert_eq!(from_bytes(&message), Ok(Small { x: 1 }));
    assert!(from_bytes::<IgnoredAny>(&message).is_ok());
}

#[test]
fn untagged_enums_work() {
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(untagged)]
    enum Reply {
        Number(u8),
        Text(String),
        Any(Value),
    }
    for (sent, want) in [
        (Value::Int(5), Reply::Number(5)),
        (text("x"), Reply::Text("x".into())),
        (list([Value::None]), Reply::Any(list([Value::None]))),
    ] {
        assert_eq!(from_bytes(&to_bytes(&sent).unwrap()), Ok(want));
    }
}

#[test]
fn big_integers_in_text_formats() {
    for digits in ["0", "-1", "9223372036854775808", "-9223372036854775809", "1000000000000000000000000000"] {
        let n = BigInt::from_decimal(digits).unwrap();
        assert_eq!(n.to_string(), digits);
        assert_eq!(n.to_i128().map(|n| n.to_string()).as_deref(), Some(digits));
        assert_eq!(n.is_negative(), digits.starts_with('-'));
    }
    assert_eq!(BigInt::from_decimal("+12").unwrap().to_i64(), Some(12));
    assert_eq!(BigInt::from(u128::MAX).to_u128(), Some(u128::MAX));
    assert_eq!(BigInt::from(u128::MAX).to_i128(), None);
    assert_eq!(BigInt::from(-1i64).to_u128(), None);
    assert_eq!(BigInt::from(-256i64).magnitude(), [0, 1]);
    let mut huge = vec![0; 9000];
    huge.push(1);
    assert_eq!(BigInt::from_le_bytes(&huge).to_string(), format!("0x1{}", "0".repeat(18000)));
    assert!(matches!(BigInt::from_decimal("12a"), Err(Error::Invalid(_))));
    assert!(matches!(BigInt::from_decimal(&"9".repeat(10_001)), Err(Error::Limit { .. })));
}

#[test]
fn surrogates_in_text_formats() {
    let Value::Surrogates(it) = surrogates(b"a\xed\xb3\xbf\xc3\xa9") else { panic!("no surrogates") };
    assert_eq!(it.to_string_lossy(), "a\u{fffd}é");
    assert_eq!(it.to_fs_bytes().as_deref(), Some(&b"a\xff\xc3\xa9"[..]));
    let Value::Surrogates(it) = surrogates(b"\xed\xa0\x80\xed\xb0\x80") else { panic!("no surrogates") };
    assert_eq!(it.to_string_lossy(), "\u{fffd}\u{fffd}");
    assert_eq!(it.to_fs_bytes(), None);
    for bad in [&b"plain"[..], b"\xff", b"\xed\xa0", b"\xed\x80\x80"] {
        assert!(super::super::SurrogateText::new(bad.to_vec()).is_err(), "{}", bad.escape_ascii());
    }
}
