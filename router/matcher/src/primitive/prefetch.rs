//! Prefetch hints behind safe functions.
//!
//! A committed batch names the records that it will touch well before it touches them; asking for their cache lines 8
//! to 16 inputs ahead halves the cost of an input (reference measurement: 0.15 µs against 0.3 µs). The hint has no
//! semantics: it reads nothing into the program, cannot fault and may be dropped by the processor, so two replicas of
//! which one prefetches decide alike.
//!
//! x86-64 (`prefetcht0`) and AArch64 (`prfm pldl1keep`) are supported; elsewhere, under loom, shuttle and Miri the
//! functions do nothing.

/// Asks for the cache line in which `target` begins, for reading.
///
/// One line only: for a record of two lines call it for a field of each. Costs about a nanosecond, never blocks, never
/// faults. No effect on the result of any program.
#[inline(always)]
pub fn prefetch_read<T: ?Sized>(target: &T) {
    hint(core::ptr::from_ref(target).cast::<u8>());
}

/// Asks for the cache line in which `slice[index]` begins; an index outside the slice is ignored.
///
/// The index may come from input that has not been checked yet: nothing is read, and outside the slice nothing is asked.
#[inline(always)]
pub fn prefetch_slice<T>(slice: &[T], index: usize) {
    if let Some(target) = slice.get(index) {
        hint(core::ptr::from_ref(target).cast::<u8>());
    }
}

/// Asks for every cache line of `target`, taking 64 bytes a line.
#[inline(always)]
pub fn prefetch_whole<T>(target: &T) {
    let first = core::ptr::from_ref(target).cast::<u8>();
    let mut offset = 0;
    while offset < size_of::<T>() {
        hint(first.wrapping_add(offset));
        offset += 64;
    }
}

#[cfg(all(target_arch = "x86_64", not(any(miri, loom, shuttle))))]
#[inline(always)]
fn hint(line: *const u8) {
    use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: SSE, which holds this instruction, is part of the x86-64 baseline. The instruction only hints: it
    // dereferences nothing in the program's sense and raises no fault, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast::<i8>()) }
}

#[cfg(all(target_arch = "aarch64", not(any(miri, loom, shuttle))))]
#[inline(always)]
fn hint(line: *const u8) {
    // SAFETY: `prfm` is part of the AArch64 baseline, only hints, raises no fault whatever the address, and touches
    // neither memory nor flags as far as the program can see, which the options state.
    unsafe {
        core::arch::asm!("prfm pldl1keep, [{line}]", line = in(reg) line, options(nostack, preserves_flags, readonly));
    }
}

#[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(any(miri, loom, shuttle)))))]
#[inline(always)]
fn hint(_line: *const u8) {}

#[cfg(test)]
mod tests {
    use super::{prefetch_read, prefetch_slice, prefetch_whole};

    #[test]
    fn hints_leave_the_data_alone_and_take_any_index() {
        let data: [u64; 16] = core::array::from_fn(|i| i as u64 * 3);
        for index in [0, 1, 15, 16, 160, usize::MAX] {
            prefetch_slice(&data, index);
        }
        prefetch_slice::<u64>(&[], 0);
        prefetch_read(&data);
        prefetch_whole(&data);
        prefetch_whole(&());
        prefetch_read("text of no fixed size");
        prefetch_read::<[u8]>(&[]);
        assert!(data.iter().enumerate().all(|(i, v)| *v == i as u64 * 3));
    }
}
