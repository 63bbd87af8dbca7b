//! A relay hands on what it has got.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::*;
use crate::broker::Broker;
use crate::io::{Side, default_poller};
use crate::wire::FrameDecoder;

/// Notes which memory it was told to write, and takes it.
#[derive(Clone, Debug, Default)]
struct Gauge(Arc<Mutex<Vec<(usize, usize)>>>);

impl Side for Gauge {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn write(&mut self, buf: &[u8]) -> io::Result<Option<usize>> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        let mut seen = self.0.lock().unwrap();
        seen.extend(bufs.iter().map(|buf| (buf.as_ptr() as usize, buf.len())));
        Ok(Some(bufs.iter().map(|buf| buf.len()).sum()))
    }

    fn close(&mut self) {}
}

#[test]
fn a_relayed_frame_is_neither_copied_nor_taken_apart() {
    let broker = Broker::start("test", default_poller().unwrap()).unwrap();
    let router = Router::new(Identity::master(), broker.handle(), RouterOptions::default());
    let gauge = Gauge::default();
    let [from, to] = [(); 2].map(|()| router.ids().allocate());
    let ingress = router.begin_link(from, "from");
    let egress = router.begin_link(to, "to");
    router.attach_link(egress, Bytes::new(), Writer::new(gauge.clone(), 1 << 20));
    router.link_up(egress);
    gauge.0.lock().unwrap().clear();
    for size in [0, 10, JOIN_LIMIT + 1, 1 << 20] {
        let message = Message {
            src_id: from,
            auth_id: from,
            ..Message::new(to, Handle(1), Encoding::Raw, vec![7; size])
        };
        let mut decoder = FrameDecoder::new(1 << 24);
        decoder.feed(&message.to_bytes());
        let frame = decoder.next_frame().unwrap().unwrap();
        let came = (frame.bytes.as_ptr() as usize, frame.bytes.len());
        let kept = frame.bytes.clone();
        assert!(router.route_frame(frame, ingress).is_none());
        assert_eq!(gauge.0.lock().unwrap().split_off(0), [came], "{size} bytes of payload");
        drop(kept);
    }
    broker.shutdown();
}
