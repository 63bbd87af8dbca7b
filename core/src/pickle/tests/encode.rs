//! Encoding: values and their bytes, and round trips.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;

use super::super::{
    BigInt, Binary, Blob, CALL_ERROR_MAX, CallErrorText, CallRequest, ContextRef, Encoder, Error, Kwargs,
    Secret, SenderRef, Value, decode, decode_all, to_bytes, write_call,
};
use super::{bytes, dict, hex, list, surrogates, text, tuple};
use crate::ids::{ContextId, Handle};

#[track_caller]
fn check<T: Serialize + ?Sized>(value: &T, want: &str) {
    let got = to_bytes(value).unwrap();
    let want = hex(want);
    assert_eq!(got, want, "{} instead of {}", got.escape_ascii(), want.escape_ascii());
}

#[test]
fn leaves() {
    check(&(), "80024e2e");
    check(&None::<u8>, "80024e2e");
    check(&Some(1u8), "80024b012e");
    check(&true, "8002882e");
    check(&false, "8002892e");
    check(&255u64, "80024bff2e");
    check(&256i16, "80024d00012e");
    check(&65536u32, "80024a000001002e");
    check(&-1i8, "80024affffffff2e");
    check(&i64::from(i32::MIN), "80024a000000802e");
    check(&(1i64 << 31), "80028a0500000080002e");
    check(&(1i64 << 40), "80028a060000000000012e");
    check(&i64::MIN, "80028a0800000000000000802e");
    check(&u64::MAX, "80028a09ffffffffffffffff002e");
    check(&5u128, "80024b052e");
    check(&1.5f32, "8002473ff80000000000002e");
    check("é", "8002 58 02000000 c3a9 2e");
    check(&'x', "8002 58 01000000 78 2e");
    check(&Binary::from(vec![0, 255]), "8002 55 02 00ff 2e");
    check(&surrogates(b"a\xed\xa0\x80"), "8002 58 04000000 61eda080 2e");
    let mut long = hex("8002 54 00010000");
    long.extend_from_slice(&[7; 256]);
    long.push(b'.');
    assert_eq!(to_bytes(&Binary::from(vec![7; 256])).unwrap(), long);
}

#[test]
fn containers() {
    check(&[0u8; 0], "8002292e");
    check(&(1,), "80024b01852e");
    check(&(1, 2, 3), "8002 4b01 4b02 4b03 87 2e");
    check(&(1, 2, 3, 4), "8002 28 4b01 4b02 4b03 4b04 74 2e");
    check(&Vec::<u8>::new(), "80025d2e");
    check(&vec![1], "80025d4b01612e");
    check(&vec![1, 2], "80025d284b014b02652e");
    check(&BTreeMap::from([("k", 1)]), "8002 7d 58 01000000 \"k\" 4b01 73 2e");
    check(&BTreeMap::from([(1, 2), (3, 4)]), "8002 7d 28 4b01 4b02 4b03 4b04 75 2e");
}

#[derive(Serialize)]
struct Point {
    x: i32,
    y: Option<i32>,
}

#[derive(Serialize)]
enum Shape {
    Nothing,
    Scaled(u8),
    Pair(u8, u8),
    At { x: u8, y: u8 },
}

#[test]
fn structs_and_enums_are_dicts_and_texts() {
    for (got, want) in [
        (to_bytes(&Point { x: 1, y: None }), dict([(text("x"), 1.into()), (text("y"), Value::None)])),
        (to_bytes(&Shape::Nothing), text("Nothing")),
        (to_bytes(&Shape::Scaled(2)), dict([(text("Scaled"), 2.into())])),
        (to_bytes(&Shape::Pair(1, 2)), dict([(text("Pair"), tuple([1.into(), 2.into()]))])),
        (
            to_bytes(&Shape::At { x: 1, y: 2 }),
            dict([(text("At"), dict([(text("x"), 1.into()), (text("y"), 2.into())]))]),
        ),
    ] {
        assert_eq!(decode(&got.unwrap()), Ok(want));
    }
}

#[test]
fn mitogen_objects() {
    check(&Blob::from(vec![1]), "8002 \"cmitogen.core\\nBlob\\n\" 55 01 01 85 52 2e");
    check(&Secret::new("pw"), "8002 \"cmitogen.core\\nSecret\\n\" 58 02000000 \"pw\" 85 52 2e");
    check(&Kwargs(()), "8002 \"cmitogen.core\\nKwargs\\n\" 7d 85 52 2e");
    check(
        &CallErrorText("no".into()),
        "8002 \"cmitogen.core\\n_unpickle_call_error\\n\" 58 02000000 \"no\" 85 52 2e",
    );
    check(
        &ContextRef { id: ContextId(u32::MAX), name: Some("n".into()) },
        "8002 \"cmitogen.core\\n_unpickle_context\\n\" \"I4294967295\\n\" 58 01000000 \"n\" 86 52 2e",
    );
    check(
        &SenderRef { context: ContextId(0), handle: Handle(1000) },
        "8002 \"cmitogen.core\\n_unpickle_sender\\n\" 4b00 4de803 86 52 2e",
    );
    assert!(matches!(to_bytes(&Kwargs(5)), Err(Error::Type(_))));
}

#[test]
fn long_call_errors_are_truncated() {
    for long in ["x".repeat(20_000), "é".repeat(CALL_ERROR_MAX + 1)] {
        let want: String = long.chars().take(CALL_ERROR_MAX).collect();
        for got in [to_bytes(&CallErrorText(long.clone())), to_bytes(&Value::CallError(long))] {
            assert_eq!(decode(&got.unwrap()), Ok(Value::CallError(want.clone())));
        }
    }
}

#[test]
fn values_round_trip() {
    let leaves = vec![
        Value::None,
        Value::Bool(true),
        Value::Int(i64::MAX),
        Value::Big(BigInt::from(-(1i128 << 100))),
        BigInt::from_le_bytes(&[0x5a; 3000]).into(),
        Value::Float(-0.5),
        text("grüße"),
        surrogates(b"\xed\xb2\x80x"),
        bytes(&[0; 300]),
        Value::Blob(Bytes::from_static(b"blob")),
        Value::Secret(Secret::new("pw")),
        Value::CallError("a.B: c".into()),
        Value::Context { id: ContextId(7), name: None },
        Value::Sender { context: ContextId(1), handle: Handle(u32::MAX) },
    ];
    let value = list([
        Value::List(leaves.clone()),
        Value::Tuple(leaves.clone()),
        Value::Tuple(leaves[..3].to_vec()),
        Value::Kwargs(leaves.iter().map(|it| (text("key"), it.clone())).collect()),
        Value::Dict(leaves.iter().map(|it| (it.clone(), it.clone())).collect()),
    ]);
    assert_eq!(decode(&to_bytes(&value).unwrap()), Ok(value));
}

#[test]
fn calls_are_encoded_as_upstream_mitogen_reads_them() {
    let call = CallRequest {
        chain_id: None,
        module: "posix",
        class: None,
        function: "getpid",
        arguments: &(),
        keywords: None::<&()>,
    };
    assert_eq!(
        write_call(&call).unwrap(),
        hex("8002 28 4e 58 05000000 \"posix\" 4e 58 06000000 \"getpid\" 29 \
             7d 74 2e")
    );
    let point = Kwargs(Point { x: 1, y: None });
    let call = CallRequest {
        chain_id: Some("c"),
        module: "m",
        class: Some("C"),
        function: "f",
        arguments: &vec![1, 2],
        keywords: Some(&point),
    };
    let want = tuple([
        text("c"),
        text("m"),
        text("C"),
        text("f"),
        tuple([1.into(), 2.into()]),
        Value::Kwargs(vec![(text("x"), 1.into()), (text("y"), Value::None)]),
    ]);
    assert_eq!(decode(&write_call(&call).unwrap()), Ok(want));
    let with = |arguments: &Value, keywords: &Value| {
        let (module, function) = ("m", "f");
        let keywords = Some(keywords);
        write_call(&CallRequest { chain_id: None, module, class: None, function, arguments, keywords })
    };
    assert!(with(&tuple([]), &dict([])).is_ok());
    for arguments in [Value::from(5), text("x"), dict([])] {
        assert!(matches!(with(&arguments, &dict([])), Err(Error::Type(_))), "{arguments:?}");
    }
    for keywords in [Value::from(5), list([]), tuple([])] {
        assert!(matches!(with(&tuple([]), &keywords), Err(Error::Type(_))), "{keywords:?}");
    }
}

#[test]
fn several_pickles_from_one_encoder() {
    let mut writer = Encoder::new();
    writer.tuple(|w| w.text("pkg")?.text("res").map(drop)).unwrap().next_pickle();
    writer.list(|w| w.dict(|w| w.int(1).bool(true).float(0.5).value(&()).map(drop)).map(drop)).unwrap();
    assert_eq!(
        decode_all(&writer.finish()),
        Ok(vec![
            tuple([text("pkg"), text("res")]),
            list([dict([(1.into(), true.into()), (0.5.into(), Value::None)])]),
        ])
    );
}

#[test]
fn deeply_nested_values_cannot_be_encoded() {
    let nest = |depth| (0..depth).fold(Value::None, |inner, _| list([inner]));
    assert!(decode(&to_bytes(&nest(256)).unwrap()).is_ok());
    assert!(matches!(to_bytes(&nest(257)), Err(Error::Limit { limit: 256, .. })));
}

#[test]
fn other_formats_see_plain_content() {
    let value = list([
        1.into(),
        BigInt::from(1i128 << 70).into(),
        text("t"),
        tuple([Value::None]),
        Value::Kwargs(vec![(text("k"), 0.5.into())]),
        Value::Context { id: ContextId(1), name: None },
        surrogates(b"\xed\xa0\x80"),
    ]);
    let json = serde_json::to_string(&value).unwrap();
    assert_eq!(json, "[1,1180591620717411303424,\"t\",[null],{\"k\":0.5},[1,null],\"\u{fffd}\"]");
    let back: Value = serde_json::from_str("[1,18446744073709551615,\"t\",[null],{\"k\":0.5}]").unwrap();
    assert_eq!(
        back,
        list([1.into(), u64::MAX.into(), text("t"), list([Value::None]), dict([(text("k"), 0.5.into())])])
    );
}
