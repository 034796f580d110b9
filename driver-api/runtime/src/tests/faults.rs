//! A fault at every request of every operation ends as a run without one does.

use super::World;
use super::api_server::Fault;
use super::operator::settle;
use crate::outcome::Outcome;
use api::Operation;

/// More requests than any operation makes.
const REQUESTS: usize = 12;

#[tokio::test]
async fn create_ends_right_after_a_fault_at_every_request() {
    let mut hit = 0;
    for fault in Fault::ALL {
        for index in 0..REQUESTS {
            let world = World::new();
            world.api.fault_at(index, fault);
            world.try_run(Operation::Create).await;
            hit += usize::from(world.api.requests().len() > index);
            world.api.fault_at(usize::MAX, fault);
            settle(&world).await;
            let case = format!("{fault:?} at request {index}");
            if world.api.database().is_some() {
                assert_eq!(world.server.counts(), (1, 1), "{case}");
                assert!(world.login_works(), "{case}");
                assert_eq!(world.condition("Ready").unwrap().0, "True", "{case}");
                assert_eq!(world.condition("Stalled"), None, "{case}");
            } else {
                // Somebody deleted it meanwhile: nothing is left anywhere.
                assert_eq!((fault, world.server.counts()), (Fault::Deleted, (0, 0)), "{case}");
            }
        }
    }
    assert!(hit >= 30, "only {hit} faults were met");
}

#[tokio::test]
async fn a_change_is_not_observed_before_its_condition_is_about_it() {
    let mut observed = 0;
    for index in 0..REQUESTS {
        let world = World::created().await;
        world.api.edit(|database| database["metadata"]["generation"] = serde_json::json!(2));
        world.api.fault_at(index, Fault::KilledAfter);
        world.try_run(Operation::Create).await;
        let status = world.api.database().unwrap()["status"].clone();
        // What Argo CD, Flux and people take for "done".
        if status["observedGeneration"] == 2 {
            observed += 1;
            assert_eq!(status["conditions"][0]["observedGeneration"], 2, "killed after request {index}");
        }
    }
    assert!(observed > 0, "no run got to its end");
}

#[tokio::test]
async fn delete_ends_right_after_a_fault_at_every_request() {
    let mut hit = 0;
    for fault in Fault::ALL {
        for index in 0..REQUESTS {
            let world = World::created().await;
            world.api.delete();
            world.api.fault_at(index, fault);
            world.try_run(Operation::Delete).await;
            hit += usize::from(world.api.requests().len() > index);
            world.api.fault_at(usize::MAX, fault);
            settle(&world).await;
            assert_eq!(
                (world.api.database(), world.server.counts()),
                (None, (0, 0)),
                "{fault:?} at request {index}"
            );
        }
    }
    assert!(hit >= 25, "only {hit} faults were met");
}

#[tokio::test]
async fn something_is_on_the_server_only_while_the_finalizer_is_set() {
    for operation in [Operation::Create, Operation::Delete] {
        for index in 0..REQUESTS {
            for fault in [Fault::KilledBefore, Fault::KilledAfter] {
                let world =
                    if operation == Operation::Create { World::new() } else { World::created().await };
                if operation == Operation::Delete {
                    world.api.delete();
                }
                world.api.fault_at(index, fault);
                world.try_run(operation).await;
                let guarded = world.api.database().is_some_and(|database| {
                    database["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty())
                });
                assert!(
                    guarded || world.server.counts() == (0, 0),
                    "{operation}, {fault:?} at request {index}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_repair_keeps_the_rows_and_the_password() {
    let world = World::created().await;
    let password = world.secret("password");
    for fault in Fault::ALL {
        for index in 0..REQUESTS {
            if fault == Fault::Deleted {
                continue;
            }
            world.api.fault_at(index, fault);
            world.try_run(Operation::Create).await;
            world.api.fault_at(usize::MAX, fault);
            assert_eq!(world.run(Operation::Create).await, Outcome::Done);
            assert_eq!(world.secret("password"), password);
            assert!(world.login_works());
        }
    }
}
