//! Choosing ports on the loopback interface.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;

use crate::error::StackError;

/// Free ports are taken from here: below the range from which the kernel gives ports to outgoing
/// connections, so that none of those can take a port between its choice and its use.
const FIRST_FREE: u16 = 20_000;
const LAST_FREE: u16 = 32_000;

/// How a stack gets its ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ports {
    /// The public port as given; all others at their usual places, or at a free one that is then remembered.
    Fixed {
        /// Where the REST interface listens.
        public: u16,
    },
    /// Random free ports, for tests that run side by side.
    Free,
}

/// Hands out ports.
#[derive(Debug)]
pub(crate) struct PortBook {
    plan: Ports,
    /// Ports by their use, kept from one start to the next.
    remembered: BTreeMap<String, u16>,
    taken: Vec<u16>,
    next: u16,
    file: PathBuf,
}

impl PortBook {
    pub(crate) fn open(plan: Ports, file: PathBuf) -> Self {
        let remembered = match plan {
            Ports::Fixed { .. } => {
                fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
            }
            Ports::Free => BTreeMap::new(),
        };
        // Stacks that start at the same moment begin at different places.
        let next = rand::random_range(FIRST_FREE..LAST_FREE);
        Self { plan, remembered, taken: Vec::new(), next, file }
    }

    /// The public port.
    ///
    /// # Errors
    /// [`StackError::PortTaken`] when it was given and another program has it.
    pub(crate) fn public(&mut self) -> Result<SocketAddr, StackError> {
        match self.plan {
            Ports::Fixed { public } if is_free(public) => {
                self.taken.push(public);
                Ok(loopback(public))
            }
            Ports::Fixed { public } => Err(StackError::PortTaken { port: public }),
            Ports::Free => self.take("public", 0),
        }
    }

    /// A port for `usage`, at its `usual` place if the plan has one and nobody else is there.
    pub(crate) fn take(&mut self, usage: &str, usual: u16) -> Result<SocketAddr, StackError> {
        let wanted = match self.plan {
            Ports::Fixed { .. } => self.remembered.get(usage).copied().or(Some(usual)),
            Ports::Free => None,
        };
        let port = match wanted {
            Some(port) if !self.taken.contains(&port) && is_free(port) => port,
            _ => self.find_free()?,
        };
        self.taken.push(port);
        if self.remembered.insert(usage.to_owned(), port) != Some(port) && self.plan != Ports::Free {
            self.save()?;
        }
        Ok(loopback(port))
    }

    fn find_free(&mut self) -> Result<u16, StackError> {
        for _ in FIRST_FREE..LAST_FREE {
            let port = self.next;
            self.next = if port + 1 < LAST_FREE { port + 1 } else { FIRST_FREE };
            if !self.taken.contains(&port) && is_free(port) {
                return Ok(port);
            }
        }
        Err(StackError::NoFreePort { first: FIRST_FREE, last: LAST_FREE })
    }

    fn save(&self) -> Result<(), StackError> {
        let text = serde_json::to_vec_pretty(&self.remembered)
            .map_err(|source| StackError::Damaged { path: self.file.clone(), source })?;
        fs::write(&self.file, text).map_err(StackError::file("write", &self.file))
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind(loopback(port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_handed_out_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut book = PortBook::open(Ports::Free, folder.path().join("ports.json"));
        let ports: std::collections::BTreeSet<SocketAddr> =
            (0..50).map(|number| book.take(&format!("part {number}"), 0).unwrap()).collect();
        assert_eq!(ports.len(), 50);
    }

    #[test]
    fn a_taken_usual_port_is_evaded_and_the_choice_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ports.json");
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let usual = holder.local_addr().unwrap().port();
        let plan = Ports::Fixed { public: 3001 };
        let evaded = PortBook::open(plan, file.clone()).take("redis", usual).unwrap();
        assert_ne!(evaded.port(), usual);
        drop(holder);
        let again = PortBook::open(plan, file).take("redis", usual).unwrap();
        assert_eq!(again, evaded, "configuration that names the port stays right");
    }

    #[test]
    fn a_taken_public_port_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let public = holder.local_addr().unwrap().port();
        let mut book = PortBook::open(Ports::Fixed { public }, folder.path().join("ports.json"));
        assert!(matches!(book.public(), Err(StackError::PortTaken { port }) if port == public));
    }
}
