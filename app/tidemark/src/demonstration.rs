//! The users of the demonstration: the seeder registers them, and in development the accounts role takes their
//! passwords as they are, one of which is too short. All are public, which is why nothing else knows them.

/// Names and passwords.
pub const USERS: [(&str, &str); 5] = [
    ("Avinash", "Avinash123"),
    ("Dhaya", "Dhaya123"),
    ("Ashok", "Ashok123"),
    ("Arun", "Arun123"),
    ("Cathrine", "Cathrine123"),
];

/// Whether these are the name and the password of one of them.
pub fn is_user(username: &str, password: &str) -> bool {
    USERS.contains(&(username, password))
}
