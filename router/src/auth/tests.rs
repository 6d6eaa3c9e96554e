//! Administrators' tokens: who is found, who is not, and what may not be added.

use super::*;

#[test]
fn administrators_are_found_by_their_token_alone() {
    let mut admins = Admins::new([7; 32]);
    let grant = |name: &str, role| AdminGrant::of_node(name, role);
    let (ada, vic) = ("ada-0123456789abcdef0123456789abcdef", "vic-0123456789abcdef0123456789abcdef");
    admins.add(ada, grant("ada", Role::Admin)).expect("added");
    admins.add(vic, grant("vic", Role::Viewer)).expect("added");
    assert_eq!(admins.check(ada).map(|g| (g.name.as_str(), g.role)), Some(("ada", Role::Admin)));
    assert_eq!(admins.check(vic).map(|g| (g.name.as_str(), g.role)), Some(("vic", Role::Viewer)));
    assert_eq!(admins.check(""), None);
    assert_eq!(admins.check(&ada[..ada.len() - 1]), None);
    assert_eq!(admins.check(&"x".repeat(ADMIN_TOKEN_BYTES_MAX * 10)), None);
    assert_eq!(admins.add("short", grant("eve", Role::Admin)), Err(AdminsError::Length { name: "eve".to_owned(), found: 5 }));
    assert_eq!(admins.add(ada, grant("eve", Role::Admin)), Err(AdminsError::Repeated { name: "eve".to_owned() }));
    for i in 2..ADMIN_TOKENS_MAX {
        admins.add(&format!("{i:064}"), grant("many", Role::Viewer)).expect("up to the limit");
    }
    assert_eq!(admins.add(&"z".repeat(64), grant("one more", Role::Viewer)), Err(AdminsError::TooMany));
}
