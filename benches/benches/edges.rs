//! What the lock-free edges cost, beside locks and the standard peers and beside what the machine allows, in one run.
//!
//! Part 1, the physical limit: an uncontended `fetch_add`, the same word from two threads, a cache line's round trip
//! between two cores. Part 2, each edge alone on one thread. Part 3, across threads: rings streamed, the combining front
//! against a `Mutex` round the same object at 1, 2 and 4 threads, views against `RwLock` and `ArcSwap`, a sleeper's wake-up.
//!
//! Every row: the least and the median of several rounds, wall nanoseconds an operation, and CPU of all threads. Results are
//! checked before a speed is printed. On a machine with fewer cores than threads the wall figures include waiting for a
//! core; the load average tells how much else was running.
//!
//! `cargo bench -p tidegate-benches --bench edges [-- --quick]`.

use arc_swap::ArcSwap;
use rustix::time::{ClockId, clock_gettime};
use std::collections::VecDeque;
use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::Instant;
use tidegate_benches::load;
use tidegate_matcher::fence::TermFence;
use tidegate_matcher::front::{FrontLimits, MatcherHandle, Sequential, SubmitError};
use tidegate_matcher::reply::ReplySlots;
use tidegate_matcher::ring::{Credits, Pop, mpsc, spsc};
use tidegate_matcher::view::view;
use tidegate_matcher::watermark::Watermark;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn process_cpu_ns() -> f64 {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    t.tv_sec as f64 * 1e9 + t.tv_nsec as f64
}

/// How often and how long.
#[derive(Clone, Copy)]
struct Effort {
    rounds: usize,
    ops: u64,
}

/// Measures `round(ops)` and prints one row; `round` checks its own result.
fn row(name: &str, effort: Effort, mut round: impl FnMut(u64)) -> f64 {
    let mut walls = Vec::new();
    let mut cpus = Vec::new();
    for _ in 0..effort.rounds {
        let (cpu, wall) = (process_cpu_ns(), Instant::now());
        round(effort.ops);
        walls.push(wall.elapsed().as_nanos() as f64 / effort.ops as f64);
        cpus.push((process_cpu_ns() - cpu) / effort.ops as f64);
    }
    walls.sort_by(f64::total_cmp);
    cpus.sort_by(f64::total_cmp);
    let median = walls[walls.len() / 2];
    println!("{name:<58} {:>9.1} {median:>9.1} {:>9.1}", walls[0], cpus[cpus.len() / 2]);
    median
}

fn heading(text: &str) {
    println!("\n{text:<58} {:>9} {:>9} {:>9}", "least", "median", "CPU med.");
}

fn physical(effort: Effort) {
    heading("physical limit, ns an operation");
    let word = AtomicU64::new(0);
    row("fetch_add, one thread", effort, |ops| {
        for _ in 0..ops {
            word.fetch_add(1, Ordering::AcqRel);
        }
    });
    row("store, fence(SeqCst), load", effort, |ops| {
        for n in 0..ops {
            word.store(n, Ordering::Relaxed);
            std::sync::atomic::fence(Ordering::SeqCst);
            black_box(word.load(Ordering::Relaxed));
        }
    });
    let word = Arc::new(AtomicU64::new(0));
    row("fetch_add, two threads on one word", effort, |ops| {
        let before = word.load(Ordering::SeqCst);
        threads(2, |_| {
            let word = word.clone();
            move || {
                for _ in 0..ops / 2 {
                    word.fetch_add(1, Ordering::AcqRel);
                }
            }
        });
        assert_eq!(word.load(Ordering::SeqCst) - before, ops / 2 * 2);
    });
    let ball = Arc::new(AtomicU64::new(0));
    row("a line there and back between two cores", Effort { ops: effort.ops / 10, ..effort }, |ops| {
        ball.store(0, Ordering::SeqCst);
        threads(2, |id| {
            let ball = ball.clone();
            move || {
                for n in 0..ops {
                    while ball.load(Ordering::Acquire) != 2 * n + id as u64 {
                        spin_loop();
                    }
                    ball.store(2 * n + id as u64 + 1, Ordering::Release);
                }
            }
        });
        assert_eq!(ball.load(Ordering::SeqCst), 2 * ops);
    });
}

/// Runs one closure a thread, all starting together.
fn threads<F: FnOnce() + Send + 'static>(count: usize, make: impl Fn(usize) -> F) {
    let start = Arc::new(Barrier::new(count));
    let handles: Vec<_> = (0..count)
        .map(|id| {
            let (start, body) = (start.clone(), make(id));
            thread::spawn(move || {
                start.wait();
                body();
            })
        })
        .collect();
    for handle in handles {
        handle.join().expect("a measured thread ends well");
    }
}

fn alone(effort: Effort) {
    heading("one thread, ns an operation");
    let (producer, mut consumer) = mpsc::ring(1024);
    row("mpsc ring: push + pop", effort, |ops| {
        for n in 0..ops {
            assert!(producer.push(n).is_ok());
            assert!(consumer.try_pop() == Pop::Value(n));
        }
    });
    let mut out = Vec::with_capacity(64);
    row("mpsc ring: push, popped in batches of 64", effort, |ops| {
        for _ in 0..ops / 64 {
            for n in 0..64 {
                assert!(producer.push(n).is_ok());
            }
            out.clear();
            assert_eq!(consumer.pop_batch(&mut out, 64), 64);
        }
    });
    let (mut first, mut last) = spsc::ring(1024);
    row("spsc ring: push + pop", effort, |ops| {
        for n in 0..ops {
            assert!(first.push(n).is_ok());
            assert!(last.try_pop() == Pop::Value(n));
        }
    });
    let mut batch = Vec::with_capacity(64);
    row("spsc ring: batches of 64 in and out", effort, |ops| {
        for _ in 0..ops / 64 {
            batch.extend(0..64_u64);
            assert_eq!(first.push_batch(&mut batch), 64);
            out.clear();
            assert_eq!(last.pop_batch(&mut out, 64), 64);
        }
    });
    let queue = Mutex::new(VecDeque::with_capacity(1024));
    row("peer: Mutex<VecDeque>, push + pop", effort, |ops| {
        for n in 0..ops {
            queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(n);
            assert_eq!(queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front(), Some(n));
        }
    });
    let (to, from) = std::sync::mpsc::sync_channel(1024);
    row("peer: std sync_channel, send + recv", effort, |ops| {
        for n in 0..ops {
            assert!(to.try_send(n).is_ok());
            assert_eq!(from.try_recv(), Ok(n));
        }
    });
    let credits = Credits::new(1024);
    row("credit: take + return", effort, |ops| {
        for _ in 0..ops {
            drop(black_box(credits.try_take()));
        }
        assert_eq!(credits.left(), 1024);
    });
    let replies = ReplySlots::new(64);
    row("reply slot: claim, answer, take", effort, |ops| {
        for n in 0..ops {
            let (mut reply, responder) = replies.claim_pair().expect("a slot is free");
            assert!(responder.answer(n).is_ok());
            assert_eq!(reply.try_take(), Some(Ok(n)));
        }
    });
    let mark = Watermark::new(0);
    let mut at = 0;
    row("watermark: advance, nobody waits", effort, |ops| {
        for _ in 0..ops {
            at += 1;
            mark.advance(at);
        }
        assert_eq!(mark.durable(), at);
    });
    row("watermark: wait for what is covered", effort, |ops| {
        for n in 0..ops {
            assert!(mark.wait(n.min(at)).is_ok());
        }
    });
    let fence = TermFence::new(1);
    row("term fence: enter + leave", effort, |ops| {
        for _ in 0..ops {
            assert!(black_box(fence.enter(1)).is_some());
        }
    });
    let mut term = 1;
    row("term fence: raise, nobody inside", effort, |ops| {
        for _ in 0..ops {
            term += 1;
            fence.raise(term);
        }
        assert_eq!(fence.term(), term);
    });
    row("guard: catch_plan round nothing", effort, |ops| {
        for _ in 0..ops {
            assert!(tidegate_matcher::catch_plan(&mut || {
                black_box(());
            }));
        }
    });
}

fn rings_across(effort: Effort) {
    heading("rings between two threads, ns a value");
    row("mpsc ring: one producer, blocking batches of 256", effort, |ops| {
        let (producer, mut consumer) = mpsc::ring(1024);
        let handle = thread::spawn(move || {
            for n in 0..ops {
                while producer.push(n).is_err() {
                    thread::yield_now();
                }
            }
        });
        let (mut batch, mut sum) = (Vec::with_capacity(256), 0_u64);
        while consumer.wait_batch(&mut batch, 256) > 0 {
            sum += batch.drain(..).sum::<u64>();
        }
        assert_eq!(sum, ops * (ops - 1) / 2);
        handle.join().expect("the producer ends well");
    });
    row("spsc ring: batches of 64, both sides sleeping", effort, |ops| {
        let (mut producer, mut consumer) = spsc::ring(1024);
        let handle = thread::spawn(move || {
            let mut batch = Vec::with_capacity(64);
            for n in 0..ops / 64 {
                batch.extend(n * 64..n * 64 + 64);
                assert!(producer.push_all_wait(&mut batch));
            }
        });
        let (mut batch, mut sum) = (Vec::with_capacity(256), 0_u64);
        while consumer.wait_batch(&mut batch, 256) > 0 {
            sum += batch.drain(..).sum::<u64>();
        }
        let all = ops / 64 * 64;
        assert_eq!(sum, all * (all - 1) / 2);
        handle.join().expect("the producer ends well");
    });
    row("peer: std sync_channel(1024)", effort, |ops| {
        let (to, from) = std::sync::mpsc::sync_channel(1024);
        let handle = thread::spawn(move || (0..ops).for_each(|n| to.send(n).expect("the consumer stays")));
        assert_eq!(from.into_iter().sum::<u64>(), ops * (ops - 1) / 2);
        handle.join().expect("the producer ends well");
    });
    let few = Effort { ops: (effort.ops / 100).max(200), ..effort };
    row("a sleeper woken and its answer awaited (two wake-ups)", few, |ops| {
        let (ask, mut asked) = mpsc::ring::<u64>(1);
        let (mut reply, mut replied) = spsc::ring::<u64>(1);
        let handle = thread::spawn(move || {
            while let Some(n) = asked.pop() {
                reply.push_wait(n + 1).expect("the asker stays");
            }
        });
        for n in 0..ops {
            assert!(ask.push(n).is_ok());
            assert_eq!(replied.pop(), Some(n + 1));
        }
        drop(ask);
        handle.join().expect("the answerer ends well");
    });
}

/// A small sequential object: about as much work as one decision's list operations.
#[derive(Default)]
struct Desk {
    lanes: [u64; 16],
    sum: u64,
}

impl Sequential for Desk {
    type Op = u64;
    type Answer = u64;

    fn apply(&mut self, op: u64) -> u64 {
        let lane = (op % 16) as usize;
        self.lanes[lane] = self.lanes[lane].wrapping_add(op) ^ self.lanes[(lane + 5) % 16];
        self.sum += 1;
        self.sum
    }
}

fn front_against_mutex(effort: Effort) {
    for count in [1, 2, 4] {
        heading(&format!("front against Mutex, {count} thread(s), ns an operation"));
        let share = move |ops: u64| ops / count as u64;
        row("front: call (submit and wait for the answer)", effort, |ops| {
            let front = MatcherHandle::new(Desk::default(), FrontLimits::default());
            threads(count, |_| {
                let front = front.clone();
                move || {
                    for n in 0..share(ops) {
                        front.call(n).expect("there is room").expect("nothing panics");
                    }
                }
            });
            let mut resident = front.resident().expect("nobody combines any more");
            assert_eq!(resident.with(|desk| desk.sum), share(ops) * count as u64);
        });
        row("front: send (and leave)", effort, |ops| {
            let front = MatcherHandle::new(Desk::default(), FrontLimits::default());
            threads(count, |_| {
                let front = front.clone();
                move || {
                    for n in 0..share(ops) {
                        while let Err(SubmitError::Full(_)) = front.send(n) {
                            spin_loop();
                        }
                    }
                }
            });
            let mut resident = front.resident().expect("nobody combines any more");
            assert_eq!(resident.with(|desk| desk.sum), share(ops) * count as u64);
        });
        row("front with a resident: post", effort, |ops| {
            let front = MatcherHandle::new(Desk::default(), FrontLimits::default());
            let mut resident = front.resident().expect("nobody else is there");
            let serving = thread::spawn(move || {
                while resident.serve_wait(256) > 0 {}
                resident.with(|desk| desk.sum)
            });
            threads(count, |_| {
                let front = front.clone();
                move || {
                    for n in 0..share(ops) {
                        while let Err(SubmitError::Full(_)) = front.post(n) {
                            thread::yield_now();
                        }
                    }
                }
            });
            front.close();
            assert_eq!(serving.join().expect("the resident ends well"), share(ops) * count as u64);
        });
        row("peer: Mutex<object>, lock and apply", effort, |ops| {
            let desk = Arc::new(Mutex::new(Desk::default()));
            threads(count, |_| {
                let desk = desk.clone();
                move || {
                    for n in 0..share(ops) {
                        black_box(desk.lock().unwrap_or_else(PoisonError::into_inner).apply(n));
                    }
                }
            });
            assert_eq!(desk.lock().unwrap_or_else(PoisonError::into_inner).sum, share(ops) * count as u64);
        });
    }
}

/// A view as the console reads it.
#[derive(Clone)]
struct Figures([u64; 16]);

fn views(effort: Effort) {
    for count in [1, 2] {
        heading(&format!("reading a view, {count} reader(s), a publication every 4,096 reads"));
        let sum = |figures: &Figures| figures.0[0] + figures.0[15];
        row("epoch-published view", effort, |ops| {
            let (publisher, seen) = view(Figures([1; 16]));
            let publisher = Arc::new(Mutex::new(publisher));
            threads(count, |id| {
                let (seen, publisher) = (seen.clone(), publisher.clone());
                move || {
                    for n in 0..ops / count as u64 {
                        assert_eq!(sum(&seen.read()) % 2, 0);
                        if id == 0 && n % 4096 == 0 {
                            publisher.lock().unwrap_or_else(PoisonError::into_inner).publish(Figures([n; 16]));
                        }
                    }
                }
            });
        });
        row("peer: ArcSwap::load", effort, |ops| {
            let seen = Arc::new(ArcSwap::from_pointee(Figures([1; 16])));
            threads(count, |id| {
                let seen = seen.clone();
                move || {
                    for n in 0..ops / count as u64 {
                        assert_eq!(sum(&seen.load()) % 2, 0);
                        if id == 0 && n % 4096 == 0 {
                            seen.store(Arc::new(Figures([n; 16])));
                        }
                    }
                }
            });
        });
        row("peer: RwLock::read", effort, |ops| {
            let seen = Arc::new(RwLock::new(Figures([1; 16])));
            threads(count, |id| {
                let seen = seen.clone();
                move || {
                    for n in 0..ops / count as u64 {
                        assert_eq!(sum(&seen.read().unwrap_or_else(PoisonError::into_inner)) % 2, 0);
                        if id == 0 && n % 4096 == 0 {
                            *seen.write().unwrap_or_else(PoisonError::into_inner) = Figures([n; 16]);
                        }
                    }
                }
            });
        });
    }
    heading("publishing, ns a version");
    let (mut publisher, _seen) = view(Figures([0; 16]));
    row("view: publish (128-byte value)", Effort { ops: effort.ops / 10, ..effort }, |ops| {
        for n in 0..ops {
            publisher.publish(Figures([n; 16]));
        }
    });
}

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick" || arg == "--test");
    let cores = thread::available_parallelism().map_or(0, usize::from);
    println!("edges: {cores} cores, load average {}", load());
    let effort = if quick { Effort { rounds: 3, ops: 64_000 } } else { Effort { rounds: 15, ops: 640_000 } };
    physical(effort);
    alone(effort);
    rings_across(effort);
    front_against_mutex(effort);
    views(effort);
    println!("\nload average at the end {}", load());
}
