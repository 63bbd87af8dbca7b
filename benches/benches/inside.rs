//! Micro-benchmarks: frames, pickles, routing verdicts, dialogues, latches, the minifier, and a complete call.
//!
//! Run with `cargo bench -p mitogen-benches`. `cargo xtask compare` compares with upstream Mitogen.

use std::collections::BTreeMap;
use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mitogen::transports::builtin;
use mitogen::{Master, MasterOptions, Value};
use mitogen_benches::library;
use mitogen_core::connect::ChildCommand;
use mitogen_core::dialogue::{Engine, Source};
use mitogen_core::ids::{ContextId, Handle, Identity};
use mitogen_core::pickle::{self, CallRequest, write_call};
use mitogen_core::router::{Mode, Table, decide};
use mitogen_core::sync::Latch;
use mitogen_core::wire::{Encoding, FrameDecoder, Header, Message};
use mitogen_minify::minimize_source;

/// Decoding frames of 60 bytes.
fn frames(criterion: &mut Criterion) {
    let frame = Message::new(ContextId(1), Handle(1000), Encoding::Pickle, vec![0; 34]).to_bytes();
    let chunk: Vec<u8> = frame.iter().copied().cycle().take(frame.len() * 2000).collect();
    let mut group = criterion.benchmark_group("wire");
    group.throughput(Throughput::Elements(2000));
    group.bench_function("decode 2000 small frames", |bencher| {
        bencher.iter(|| {
            let mut decoder = FrameDecoder::new(1 << 20);
            decoder.feed(&chunk);
            let mut count = 0;
            while let Ok(Some(frame)) = decoder.next_frame() {
                count += frame.into_message().data.len();
            }
            count
        });
    });
    group.finish();
}

/// Encoding a call and decoding its reply.
fn pickles(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pickle");
    group.bench_function("write a call", |bencher| {
        bencher.iter(|| {
            write_call(&CallRequest {
                chain_id: None,
                module: "os.path",
                class: None,
                function: "join",
                arguments: &black_box(("/tmp", "file", 3)),
                keywords: None::<&()>,
            })
        });
    });
    let reply: Value = [("name", Value::from("web01")), ("load", Value::Float(0.5)), ("up", Value::Int(99))]
        .map(|(key, value)| (Value::from(key), value))
        .into_iter()
        .collect();
    let reply = pickle::to_bytes(&reply).expect("plain data");
    group.bench_function("read a dict of three", |bencher| {
        bencher.iter(|| pickle::from_shared::<Value>(black_box(&reply)));
    });
    let bulk = pickle::to_bytes(&Value::Bytes(Bytes::from(vec![1; 16 << 20]))).expect("plain data");
    group.throughput(Throughput::Bytes(16 << 20));
    group.bench_function("read 16 MiB of bytes", |bencher| {
        bencher.iter(|| pickle::from_shared::<Value>(black_box(&bulk)));
    });
    group.finish();
}

/// The verdict on one forwarded message among 1000 contexts.
fn verdicts(criterion: &mut Criterion) {
    let identity = Identity::master();
    let mut table = Table::default();
    let links: Vec<_> = (1..=100).map(|id| table.add_link(&identity, ContextId(id), None, ())).collect();
    for id in 101..=1000 {
        let link = links[id as usize % links.len()];
        table.add_route(ContextId(id), link, None);
    }
    let header = Header {
        encoding: Encoding::Pickle,
        dst_id: ContextId(50),
        src_id: ContextId(200),
        auth_id: ContextId(200),
        handle: Handle(1000),
        reply_to: Handle(1001),
        length: 34,
    };
    let mode = Mode { max_message_size: 1 << 27, unidirectional: false };
    let ingress = table.route(ContextId(200));
    criterion.bench_function("router/verdict", |bencher| {
        bencher.iter(|| decide(&identity, &table, mode, black_box(&header), ingress));
    });
}

/// A complete sudo dialogue with a password, without sudo itself.
fn dialogues(criterion: &mut Criterion) {
    let registry = builtin();
    let sudo = registry.get("sudo").expect("built in");
    let transport = sudo.create(serde_json::json!({ "password": "secret" })).expect("a fine option");
    let plan = transport.plan(&ChildCommand::new(["python3"])).expect("a plan");
    criterion.bench_function("dialogue/sudo with a password", |bencher| {
        bencher.iter_batched(
            || Engine::new(&plan.dialogue, &plan.secrets),
            |mut engine| {
                let mut steps = engine.feed(Source::Diag, b"mitogen-sudo-prompt:");
                steps.extend(engine.feed(Source::Link, b"MITO000\n"));
                steps.extend(engine.feed(Source::Link, b"MITO002\nframes"));
                steps
            },
            BatchSize::SmallInput,
        );
    });
}

/// A put and a get of a latch without a waiting thread.
fn latches(criterion: &mut Criterion) {
    let latch = Latch::new();
    criterion.bench_function("sync/latch put and get", |bencher| {
        bencher.iter(|| {
            let _ = latch.put(black_box(1u64));
            latch.get()
        });
    });
}

/// Minimizing the sources of a standard library.
fn sources(criterion: &mut Criterion) {
    let sources = library::sources("python3".as_ref()).expect("a python3 on PATH");
    let bytes: usize = sources.iter().map(Vec::len).sum();
    let mut group = criterion.benchmark_group("minify");
    group.throughput(Throughput::Bytes(bytes as u64));
    group.sample_size(20);
    group.bench_function("python3's standard library", |bencher| {
        bencher.iter(|| sources.iter().filter_map(|source| minimize_source(source).ok()).count());
    });
    group.finish();
}

/// A call to a local Python child, alone and pipelined.
fn calls(criterion: &mut Criterion) {
    let master = Master::start(MasterOptions::default()).expect("a master");
    let registry = builtin();
    let local = registry.get("local").expect("built in");
    let transport = local.create(serde_json::json!({})).expect("no options");
    let child = master.connect(&*transport).expect("a plan").wait().expect("a child");
    let mut group = criterion.benchmark_group("call");
    group.bench_function("round trip", |bencher| {
        bencher.iter(|| child.call::<u32>("os.getpid", ()));
    });
    group.throughput(Throughput::Elements(1000));
    group.bench_function("1000 pipelined", |bencher| {
        bencher.iter(|| {
            let waiting: Result<Vec<_>, _> =
                (0..1000).map(|_| child.call_async::<u32>("os.getpid", ())).collect();
            waiting.into_iter().flatten().map(|receiver| receiver.get()).filter(Result::is_ok).count()
        });
    });
    let empty: BTreeMap<String, u8> = BTreeMap::new();
    group.bench_function("empty dict there and back", |bencher| {
        bencher.iter(|| child.call::<BTreeMap<String, u8>>("copy.copy", (&empty,)));
    });
    group.finish();
    master.shutdown();
}

criterion_group!(inside, frames, pickles, verdicts, dialogues, latches, sources, calls);
criterion_main!(inside);
