//! scratch
mod floor_kit;
use floor_kit::*;
#[test]
fn look() {
    let s = erlang("110h", "warm_up = \"5h\"\ncool_down = \"5h\"\nat_end = \"stop\"", 2880.0, 60.0, 50, Some(120.0));
    let t = std::time::Instant::now();
    let reps = run(&s, 1, 3);
    println!("{:?} {:?}", t.elapsed(), reps.iter().map(|r| r.demands[0].counts.contacts).sum::<u64>());
    println!("{:?}", reps[0].demands[0]);
    println!("{:?}", reps[0].groups[0]);
    println!("pab {:?} exact .0309122", figure(&reps, 3.0, |r| (r.demands[0].counts.abandoned, r.demands[0].counts.offered)));
    println!("EW {:?} exact 3709.47", figure(&reps, 3.0, |r| (r.demands[0].counts.wait_ms, r.demands[0].counts.offered)));
    println!("EQ {:?} exact 2.96757", figure(&reps, 3.0, |r| (r.demands[0].queue_ms, r.counted_ms)));
    println!("occ {:?} exact .930324", figure(&reps, 3.0, |r| (r.groups[0].busy_ms, r.groups[0].staffed_ms)));
}
