//! The group whose members may use a socket, as a configuration names it.

use nix::unistd::Group;

use super::Fault;

/// The id of the group called `name`, the value of `key`; none where it is empty.
///
/// # Errors
/// When there is none of that name.
pub fn group_id(key: &str, name: &str) -> Result<Option<u32>, Fault> {
    if name.is_empty() {
        return Ok(None);
    }
    let fault = |message: String| Fault::new(key, message);
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(Some(group.gid.as_raw())),
        Ok(None) => Err(fault(format!("there is no group {name}"))),
        Err(error) => Err(fault(format!("the group {name} cannot be looked up: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_by_its_name() {
        assert_eq!(group_id("control_group", "root"), Ok(Some(0)));
        assert_eq!(group_id("control_group", ""), Ok(None));
        let fault = group_id("control_group", "no such group").unwrap_err();
        assert_eq!(fault.to_string(), "control_group: there is no group no such group");
    }
}
