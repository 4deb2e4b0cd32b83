//! The scheduling priority of threads whose work may take its time.

/// In nanoseconds, the longest that Linux takes. A thread that wakes up with the usual slice of some 3 ms preempts a thread
/// with a longer one at once, where otherwise it may have to wait until the slice of the running thread has ended.
const SLICE_NS: u64 = 100_000_000;
/// The same of a thread that is not to wait for long itself: ten times as long as usual.
const SLICE_OF_EQUALS_NS: u64 = 30_000_000;
/// About a tenth of the weight of the other threads, on a core that has more to do than it can.
const NICE: i32 = 10;

/// `struct sched_attr` of `sched_setattr(2)` in its first version.
#[repr(C)]
#[derive(Debug, Default)]
struct SchedulingAttributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Lowers the priority of the calling thread for the rest of its life: threads that wake up go first, and a core that both need
/// goes to the others for the most part. Does nothing where the kernel refuses it; before Linux 6.12 the weight alone changes.
pub fn lower_priority() {
    schedule(NICE, SLICE_NS);
}

/// Threads that wake up go before the calling thread from now on, but its share of a core stays as it was. Does nothing before Linux 6.12.
pub fn let_others_go_first() {
    // SAFETY: neither call touches memory; thread 0 is the calling one.
    let (policy, nice) = unsafe { (libc::sched_getscheduler(0), libc::getpriority(libc::PRIO_PROCESS, 0)) };
    // An operator may have chosen another policy for the whole process.
    if policy == libc::SCHED_OTHER {
        schedule(nice, SLICE_OF_EQUALS_NS);
    }
}

fn schedule(nice: i32, slice_ns: u64) {
    let size = size_of::<SchedulingAttributes>();
    let attributes = SchedulingAttributes {
        size: u32::try_from(size).expect("it is a few words long"),
        policy: libc::SCHED_OTHER.cast_unsigned(),
        nice,
        runtime: slice_ns,
        ..SchedulingAttributes::default()
    };
    // SAFETY: the kernel reads `size` bytes of a structure that lives beyond the call; thread 0 is the calling one.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
}
