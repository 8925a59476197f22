//! Who may command.

use super::*;

/// `COMMAND_USERS`, and whether the command of PANN is obeyed.
const USERS: [(&[&str], bool); 5] =
    [(&[], true), (&["PANN"], true), (&["PBEN", "PANN"], true), (&["PBEN"], false), (&["PANNA"], false)];

/// lifecycle.md#commands: one from outside `COMMAND_USERS` is answered, and not obeyed, whatever it asks for.
#[test]
fn a_command_from_outside_command_users_is_answered_and_not_obeyed() {
    for word in [Word::Rerun, Word::Escalate, Word::Hold, Word::Status] {
        for (users, is_obeyed) in USERS {
            let users = users.iter().map(|id| (*id).to_owned()).collect();
            let next = Given { users, ..command(word) }.then("incident", open());
            let is_refused = answer_of(&next) == Some(&Answer::Refused(Refusal::NotAllowed));
            let does = (next.actions == [What::Obey("N1".to_owned())], is_refused);
            assert_eq!(does, (is_obeyed, !is_obeyed), "{word}: {next:?}");
        }
    }
}
