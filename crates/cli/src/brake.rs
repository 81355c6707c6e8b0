//! Joins the console's stops to the gateway: neither knows the other.

use control::{Brake, Stop, StopOrder};
use gateway::Gateway;
use gateway::breaker::Standing;
use jiff::Timestamp;
use policy::bounds::Otherwise;

/// The gateway, as the control plane sees it.
pub(crate) struct GatewayBrake(pub(crate) Gateway);

impl Brake for GatewayBrake {
    fn stopped(&self) -> Vec<Stop> {
        let stop = |(of, standing): (String, Standing)| Stop {
            of,
            asks: standing.otherwise == Otherwise::Ask,
            since: standing.since,
            until: standing.until,
            by: standing.by,
            because: standing.because,
        };
        self.0.stopped().into_iter().map(stop).collect()
    }

    fn set(&self, StopOrder { request, by }: StopOrder) -> Result<(), String> {
        if !request.stopped {
            return self.0.resume(&request.of, &by, &request.because).map(|_| ());
        }
        let (otherwise, since, because) = (Otherwise::Deny, Timestamp::now(), request.because);
        self.0.stop(&request.of, Standing { otherwise, since, until: None, by, because })
    }
}
