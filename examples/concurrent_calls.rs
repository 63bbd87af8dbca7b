//! Calls several contexts at the same time from a tokio runtime.
//!
//! `cargo run -p mitogen-examples --bin concurrent_calls`
//!
//! A reply is a `Future` on any executor: mitogen has an I/O thread of its own, and uses nothing of tokio's.

use std::error::Error;
use std::time::Instant;

use mitogen::transports::local::{Local, Options};
use mitogen::{CallError, ConnectHandle, Context, Master, MasterOptions};
use tokio::task::JoinSet;

/// How many contexts are called.
const CONTEXTS: u32 = 4;

async fn slow_square(context: Context, number: u32) -> Result<u32, CallError> {
    context.call_async::<()>("time.sleep", (0.5,))?.await?;
    context.call_async::<u32>("operator.mul", (number, number))?.await
}

fn main() -> Result<(), Box<dyn Error>> {
    let master = Master::start(MasterOptions::default())?;
    let local = Local::new(Options::new())?;
    // All connections are established at the same time, too.
    let connecting: Vec<_> = (0..CONTEXTS).map(|_| master.connect(&local)).collect::<Result<_, _>>()?;
    let contexts: Vec<Context> = connecting.iter().map(ConnectHandle::wait).collect::<Result<_, _>>()?;

    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let began = Instant::now();
    let squares = runtime.block_on(async {
        let mut calls = JoinSet::new();
        for (context, number) in contexts.into_iter().zip(1..) {
            calls.spawn(slow_square(context, number));
        }
        let mut squares = Vec::new();
        while let Some(square) = calls.join_next().await {
            squares.push(square??);
        }
        Ok::<_, Box<dyn Error>>(squares)
    })?;
    println!("squares: {} of {CONTEXTS}, sum {}", squares.len(), squares.iter().sum::<u32>());
    println!(
        "in {:.1} s; one after the other they take {:.1} s",
        began.elapsed().as_secs_f32(),
        f64::from(CONTEXTS) * 0.5
    );

    master.shutdown();
    Ok(())
}
