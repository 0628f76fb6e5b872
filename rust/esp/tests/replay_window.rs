//! The replay window at its edges (conformance items E03 to E08, E10).
#![allow(clippy::unwrap_used)]

use ironswan_esp::ReplayWindow;

#[test]
fn zero_is_never_accepted() {
    assert!(!ReplayWindow::new(64, false, 0).check(0));
}

#[test]
fn a_number_is_accepted_once() {
    let mut window = ReplayWindow::new(64, false, 0);
    assert!(window.mark(1));
    assert!(!window.mark(1));
    assert!(window.mark(2));
}

#[test]
fn the_window_is_exactly_as_wide_as_asked_for() {
    for size in [32, 33, 63, 64, 65, 1024, 65_536] {
        let mut window = ReplayWindow::new(size, false, 0);
        assert!(window.mark(1_000_000));
        assert!(window.check(1_000_000 - u64::from(size) + 1), "{size}: the leftmost number is inside");
        assert!(!window.check(1_000_000 - u64::from(size)), "{size}: the one left of it is not");
    }
}

#[test]
fn sizes_out_of_bounds_are_clamped() {
    assert_eq!(ReplayWindow::new(1, false, 0).size(), 32);
    assert_eq!(ReplayWindow::new(1 << 20, false, 0).size(), 65_536);
}

#[test]
fn a_jump_over_the_whole_window_forgets_what_was_seen() {
    let mut window = ReplayWindow::new(128, false, 0);
    for number in 1..=128 {
        assert!(window.mark(number));
    }
    assert!(window.mark(1 << 31));
    for back in 1..128 {
        assert!(window.mark((1 << 31) - back), "{back}");
    }
}

#[test]
fn it_agrees_with_a_set_of_numbers_on_any_order() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for size in [32_u64, 64, 65, 128, 1000, 1024] {
        let mut window = ReplayWindow::new(size as u32, false, 0);
        let mut seen = std::collections::HashSet::new();
        let mut highest = 0_u64;
        for _ in 0..20_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // Now and then a jump, over less than the window or over all of it.
            let ahead = if state >> 59 == 0 { (state >> 16) % (3 * size) } else { 40 };
            let number = (highest + ahead).saturating_sub(state % (size + 80)).max(1);
            let expected = (number > highest || highest - number < size) && !seen.contains(&number);
            assert_eq!(window.check(number), expected, "{size}: {number} after {highest}");
            assert_eq!(window.mark(number), expected);
            if expected {
                seen.insert(number);
                highest = highest.max(number);
            }
        }
    }
}

#[test]
fn nothing_up_to_the_given_highest_is_accepted_and_everything_above_is() {
    for highest in [1, 62, 63, 64, 65, 1000] {
        let mut window = ReplayWindow::new(64, false, highest);
        for number in 0..=highest {
            assert!(!window.check(number), "{number} up to {highest}");
        }
        assert!(window.mark(highest + 5));
        for number in highest + 1..highest + 5 {
            assert!(window.mark(number), "{number} after {highest}");
        }
    }
}

#[test]
fn without_esn_the_number_is_what_the_packet_carries() {
    assert_eq!(ReplayWindow::new(64, false, 9).infer(u32::MAX), Some(u64::from(u32::MAX)));
}

#[test]
fn esn_case_a_takes_what_is_left_of_the_window_for_the_next_subspace() {
    // RFC 4303 A2.2, Tl >= W - 1.
    let window = ReplayWindow::new(64, true, 5 << 32 | 63);
    assert_eq!(window.infer(0), Some(5 << 32));
    let window = ReplayWindow::new(64, true, 5 << 32 | 64);
    assert_eq!(window.infer(1), Some(5 << 32 | 1));
    assert_eq!(window.infer(0), Some(6 << 32));
    assert_eq!(window.infer(65), Some(5 << 32 | 65));
}

#[test]
fn esn_case_b_reaches_back_into_the_subspace_before() {
    // RFC 4303 A2.2, Tl < W - 1.
    let window = ReplayWindow::new(64, true, 5 << 32 | 62);
    assert_eq!(window.infer(u32::MAX), Some(4 << 32 | u64::from(u32::MAX)));
    assert_eq!(window.infer(u32::MAX - 1), Some(5 << 32 | u64::from(u32::MAX - 1)));
    assert_eq!(window.infer(0), Some(5 << 32));
}

#[test]
fn esn_has_no_subspace_before_the_first() {
    let window = ReplayWindow::new(64, true, 10);
    assert_eq!(window.infer(u32::MAX), None);
    assert_eq!(window.infer(11), Some(11));
}

#[test]
fn esn_counts_on_across_two_to_the_32() {
    let mut window = ReplayWindow::new(64, true, u64::from(u32::MAX) - 10);
    for number in u64::from(u32::MAX) - 9..u64::from(u32::MAX) + 200 {
        assert_eq!(window.infer(number as u32), Some(number));
        assert!(window.mark(number));
    }
    let late = u64::from(u32::MAX) + 199 - 30;
    assert_eq!(window.infer(late as u32), Some(late));
    assert!(!window.mark(late));
}
