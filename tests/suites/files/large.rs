//! Memory use does not grow with the size of a file.

use std::fs;

use mitogen_tests::isolated;

use crate::{Scratch, get, hollow, pair, put};

const MIB: u64 = 1 << 20;

/// The peak memory use of a process, in bytes.
fn peak(pid: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
fn memory_use_does_not_grow_with_the_file() {
    isolated(|| {
        let scratch = Scratch::new();
        let (master, child) = pair();
        let pid: u32 = child.call("os.getpid", ()).unwrap();
        let pid = pid.to_string();
        let size = 400 * MIB;
        hollow(&scratch.at("source"), size);
        put(&child, &scratch.at("source"), &scratch.at("there")).unwrap();
        assert_eq!(fs::metadata(scratch.at("there")).unwrap().len(), size);
        let far = peak(&pid);
        get(&child, &scratch.at("there"), &scratch.at("back")).unwrap();
        assert_eq!(fs::metadata(scratch.at("back")).unwrap().len(), size);
        for (who, bytes) in
            [("the child that received", far), ("the child", peak(&pid)), ("we", peak("self"))]
        {
            assert!(bytes < 80 * MIB, "{who} took {} MiB", bytes / MIB);
        }
        master.shutdown();
    });
}
