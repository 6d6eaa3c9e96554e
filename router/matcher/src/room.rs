//! Memory written once before it is needed, so that no decision is the first to touch a page.
//!
//! Tables reserve their room by their limits; the system gives a page when it is first written, and a first write costs from
//! half a microsecond (4 KiB) to milliseconds (2 MiB, on a busy machine). [`touch_spare`] writes the unused room of a vector,
//! [`touch`] the elements that are there; lengths and values stay as they were, so that no result of any program changes.
//! Both take a budget in bytes. They refuse to know what the elements are.

use alloc::vec::Vec;
use core::hint::black_box;

/// The smallest page.
const PAGE: usize = 4096;

/// Writes the unused room of `values` once with what `make` gives; at most `budget` bytes of it, which are taken off the budget.
///
/// Elements are to be smaller than a page. O(room).
pub fn touch_spare<T>(values: &mut Vec<T>, budget: &mut usize, make: impl FnMut() -> T) {
    let size = size_of::<T>().max(1);
    let len = values.len();
    let count = (values.capacity() - len).min(*budget / size);
    values.resize_with(len + count, make);
    // The writes are to happen though nobody reads them.
    black_box(values.as_mut_slice());
    values.truncate(len);
    *budget -= count * size;
}

/// Writes one element of each page of `values` with its own value; at most `budget` bytes, which are taken off the budget.
///
/// O(pages).
pub fn touch<T: Copy>(values: &mut [T], budget: &mut usize) {
    let size = size_of::<T>().max(1);
    let count = values.len().min(*budget / size);
    for value in values[..count].iter_mut().step_by((PAGE / size).max(1)) {
        *value = black_box(*value);
    }
    *budget -= count * size;
}

#[cfg(test)]
mod tests {
    use super::{touch, touch_spare};
    use alloc::vec::Vec;

    #[test]
    fn nothing_changes_but_the_budget() {
        let mut values: Vec<u64> = Vec::with_capacity(10_000);
        values.extend(0..100);
        let (room, before) = (values.capacity(), values.clone());
        let mut budget = 8 * 5_000;
        touch(&mut values, &mut budget);
        assert_eq!(budget, 8 * 4_900);
        let mut made = 0;
        touch_spare(&mut values, &mut budget, || {
            made += 1;
            7
        });
        assert_eq!((budget, made), (0, 4_900));
        assert_eq!((values.capacity(), &values), (room, &before));
        budget = usize::MAX;
        touch_spare(&mut values, &mut budget, || 7);
        assert_eq!(usize::MAX - budget, 8 * (room - 100));
        touch(&mut values, &mut budget);
        assert_eq!((values.capacity(), values), (room, before));
    }
}
