//! A relay on loopback that delays every byte in both directions, like a long-distance link.
//!
//! Bandwidth is not limited. As on a real link, a new connection takes one round trip before its first byte.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::error::{Context, Result};

/// A relay to one address. On drop it closes its connections and ends its threads.
#[derive(Debug)]
pub struct DelayLink {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stopping: AtomicBool,
    silent: AtomicBool,
    open: Mutex<BTreeMap<u64, [TcpStream; 2]>>,
    relays: Mutex<Vec<JoinHandle<()>>>,
}

impl DelayLink {
    /// Relays to `target`. Each byte arrives `one_way` after it was sent, so a round trip takes twice that.
    ///
    /// # Errors
    /// No socket can be created.
    pub fn new(target: SocketAddr, one_way: Duration) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context(|| "delay link")?;
        let address = listener.local_addr().context(|| "delay link")?;
        let shared = Arc::new(Shared::default());
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, target, one_way, &shared)
        });
        Ok(Self { address, shared, acceptor: Some(acceptor) })
    }

    /// The address to connect to instead of the target.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port of [`DelayLink::address`].
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// From now on drops all data in both directions without closing connections, like an unplugged cable.
    pub fn silence(&self) {
        self.shared.silent.store(true, Ordering::SeqCst);
    }

    /// Closes every open connection, like a failing network; new ones are still accepted.
    pub fn cut(&self) {
        for stream in self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).values().flatten() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for DelayLink {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then reads the flag.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        let relays = std::mem::take(&mut *self.shared.relays.lock().unwrap_or_else(PoisonError::into_inner));
        for relay in relays {
            // A relay registers its sockets some time after its start, so one cut is not enough.
            while !relay.is_finished() {
                self.cut();
                thread::sleep(Duration::from_millis(1));
            }
            let _ = relay.join();
        }
    }
}

fn accept(listener: &TcpListener, target: SocketAddr, one_way: Duration, shared: &Arc<Shared>) {
    for (id, stream) in (0..).zip(listener.incoming()) {
        let Ok(stream) = stream else { continue };
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let relay = thread::spawn({
            let shared = Arc::clone(shared);
            // A peer that disconnects ends the relay; no one needs to be notified.
            move || drop(relay(id, &stream, target, one_way, &shared))
        });
        let mut relays = shared.relays.lock().unwrap_or_else(PoisonError::into_inner);
        relays.retain(|relay| !relay.is_finished());
        relays.push(relay);
    }
}

fn relay(
    id: u64,
    near: &TcpStream,
    target: SocketAddr,
    one_way: Duration,
    shared: &Shared,
) -> std::io::Result<()> {
    thread::sleep(2 * one_way);
    let far = TcpStream::connect(target)?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let pair = [near.try_clone()?, far.try_clone()?];
    shared.open.lock().unwrap_or_else(PoisonError::into_inner).insert(id, pair);
    thread::scope(|scope| {
        scope.spawn(|| pump(near, &far, one_way, shared));
        scope.spawn(|| pump(&far, near, one_way, shared));
    });
    shared.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    Ok(())
}

/// One direction: a reader records when each piece is due, and a writer waits until then.
fn pump(mut from: &TcpStream, mut to: &TcpStream, one_way: Duration, shared: &Shared) {
    let (sender, receiver) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::scope(|scope| {
        scope.spawn(move || {
            for (due, data) in receiver {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                if shared.silent.load(Ordering::SeqCst) && !data.is_empty() {
                    continue;
                }
                if data.is_empty() || to.write_all(&data).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Write);
        });
        let mut buffer = vec![0; 1 << 17];
        loop {
            // A lost connection is passed on as a closed one.
            let count = from.read(&mut buffer).unwrap_or(0);
            if sender.send((Instant::now() + one_way, buffer[..count].to_vec())).is_err() || count == 0 {
                break;
            }
        }
    });
}
