//! `/incidents/{id}/notes`.

use serde_json::{Value, json};

use super::account::Account;
use super::call::{Answer, Call, Refusal};

/// PagerDuty's limit an incident.
const MAX_NOTES: usize = 2000;
/// PagerDuty's limit of a note is not published; ours is what the contract promises to stay under.
const MAX_NOTE: usize = 20_000;

/// `GET`: not paged; lags behind writes.
pub(super) fn list(account: &mut Account, call: &Call<'_>) -> Answer {
    call.only(&[])?;
    let notes = account.notes_at(call.path[1], account.listed()).ok_or_else(Refusal::not_found)?;
    let notes: Vec<Value> = notes.iter().map(|note| account.note_json(note)).collect();
    Ok((200, json!({"notes": notes})))
}

/// `POST`.
pub(super) fn add(account: &mut Account, call: &Call<'_>) -> Answer {
    call.only(&[])?;
    let content = content(call)?;
    let id = call.path[1];
    let notes = account.notes_at(id, account.now()).ok_or_else(Refusal::not_found)?;
    if notes.len() >= MAX_NOTES {
        return Err(Refusal::input("An incident can't have more than 2000 notes"));
    }
    let note = account.add_note(id, &call.user_id, content).ok_or_else(Refusal::not_found)?;
    Ok((200, json!({"note": account.note_json(&note)})))
}

/// `PUT …/{note_id}`.
pub(super) fn edit(account: &mut Account, call: &Call<'_>) -> Answer {
    call.only(&[])?;
    let content = content(call)?;
    let note = account.set_note(call.path[1], call.path[3], Some(content)).ok_or_else(Refusal::not_found)?;
    Ok((200, json!({"note": account.note_json(&note)})))
}

/// `DELETE …/{note_id}`.
pub(super) fn delete(account: &mut Account, call: &Call<'_>) -> Answer {
    call.only(&[])?;
    account.set_note(call.path[1], call.path[3], None).ok_or_else(Refusal::not_found)?;
    Ok((204, Value::Null))
}

fn content<'a>(call: &'a Call<'_>) -> Result<&'a str, Refusal> {
    let note = call.object("note", &["content"])?;
    let content = note.get("content").and_then(Value::as_str).filter(|content| !content.trim().is_empty());
    let content = content.ok_or_else(|| Refusal::input("Content can't be blank"))?;
    if content.chars().count() > MAX_NOTE {
        return Err(Refusal::input(format!("Content is too long (maximum is {MAX_NOTE} characters)")));
    }
    Ok(content)
}
