//! Memory that is free, but still the process's.

/// Gives the kernel all memory that the allocator mimalloc holds free, whichever threads freed it. Left alone, it does so a second after
/// something was freed, on the thread that needs memory next: a worker could then be busy for milliseconds.
pub fn give_back_memory() {
    // SAFETY: it may be called by any thread at any time, and touches nothing that is in use.
    unsafe { libmimalloc_sys::mi_collect(true) };
}
