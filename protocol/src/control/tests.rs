//! The JSON that scripts see.

use serde_json::{Value, json};

use super::*;
use crate::id::InfoHash;

fn torrent() -> Torrent {
    Torrent {
        info_hash: InfoHash::new([0xab; 20]),
        name: "iso".to_owned(),
        state: State::Seeding,
        progress: 1.0,
        size: 10,
        have: 10,
        uploaded: 5,
        downloaded: 0,
        ratio: 0.5,
        upload_rate: 1,
        download_rate: 0,
        peers: 2,
        seeds: 0,
        eta_s: None,
        label: None,
        error: None,
        dir: "/srv".to_owned(),
        added_at: 7,
    }
}

#[test]
fn a_torrent_has_the_promised_fields_and_no_others() {
    let value = serde_json::to_value(torrent()).unwrap();
    let mut fields: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    let mut promised: Vec<&str> =
        "info_hash name state progress size have uploaded downloaded ratio upload_rate \
        download_rate peers seeds eta_s label error dir added_at"
            .split_whitespace()
            .collect();
    fields.sort_unstable();
    promised.sort_unstable();
    assert_eq!(fields, promised);
    assert_eq!(value["info_hash"], json!("ab".repeat(20)));
    assert_eq!((&value["state"], &value["eta_s"]), (&json!("seeding"), &Value::Null));
    assert_eq!(serde_json::from_value::<Torrent>(value).unwrap(), torrent());
}

#[test]
fn states_and_keys_are_read_by_the_names_they_are_written_with() {
    for state in State::ALL {
        assert_eq!(serde_json::to_value(state).unwrap(), json!(state.name()));
        assert_eq!(state.name().parse(), Ok(state));
    }
    for key in SortKey::ALL {
        for is_descending in [false, true] {
            let sort = Sort { key, is_descending };
            assert_eq!(sort.to_string().parse(), Ok(sort));
        }
    }
    assert!("lost".parse::<State>().unwrap_err().contains("seeding"));
    assert!("-peer".parse::<Sort>().unwrap_err().contains("peers"));
}

#[test]
fn what_is_left_out_of_a_patch_is_not_what_is_taken_away() {
    let patch: Patch = serde_json::from_value(json!({"label": null, "upload_limit": 5})).unwrap();
    assert_eq!((&patch.label, patch.upload_limit, patch.ratio_limit), (&Some(None), Some(Some(5)), None));
    assert_eq!(serde_json::to_value(&patch).unwrap(), json!({"label": null, "upload_limit": 5}));
    assert!(serde_json::from_value::<Patch>(json!({"lable": null})).is_err());
}

#[test]
fn events_and_details_are_flat() {
    let kind = EventKind::State { from: State::Downloading, to: State::Seeding };
    let event = Event { revision: 3, at: 9, info_hash: Some(torrent().info_hash), name: None, kind };
    let value = serde_json::to_value(&event).unwrap();
    assert_eq!(
        (&value["event"], &value["to"], &value["revision"]),
        (&json!("state"), &json!("seeding"), &json!(3))
    );
    assert_eq!(serde_json::from_value::<Event>(value).unwrap(), event);
}

#[test]
fn a_count_is_kept_for_each_state() {
    let mut counts = StateCounts::default();
    for (state, count) in State::ALL.into_iter().zip(1..) {
        *counts.of_mut(state) = count;
    }
    assert_eq!((counts.metadata, counts.error, counts.total()), (1, 7, 28));
}
