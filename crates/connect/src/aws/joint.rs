//! What workloads are joined to: from the words of an API or a plan to the ARN of the other end.

use graph::aws::estate::Joint;

use super::Reader;
use crate::document::Node;

/// The repository of an image in a private registry of AWS; `None` for others, and for an image that is named by its
/// digest, which no push changes.
pub(crate) fn repository(image: &str) -> Option<String> {
    if image.contains('@') {
        return None;
    }
    let (registry, rest) = image.split_once('/')?;
    let mut parts = registry.split('.');
    let (account, region) = (parts.next()?, registry.split(".ecr.").nth(1)?.split('.').next()?);
    let is_private = parts.next() == Some("dkr") && registry.contains(".amazonaws.com");
    let name = rest.split(':').next()?;
    is_private.then(|| format!("arn:aws:ecr:{region}:{account}:repository/{name}"))
}

/// The CodeCommit repository that a project builds, by the address that it clones.
pub(crate) fn source(location: &str, account: &str) -> Option<String> {
    let rest = location.strip_prefix("https://git-codecommit.")?;
    let (region, path) = rest.split_once('.')?;
    let name = path.rsplit_once("/repos/")?.1;
    Some(format!("arn:aws:codecommit:{region}:{account}:{name}"))
}

/// The objects of a bucket.
pub(crate) fn objects(bucket: &str) -> String {
    let arn = if bucket.starts_with("arn:") { bucket.to_owned() } else { format!("arn:aws:s3:::{bucket}") };
    format!("{arn}/*")
}

impl Reader<'_> {
    /// Says that a workload is joined to something.
    pub(crate) fn join(&mut self, node: &Node, workload: &str, (relation, resource): (&str, String)) {
        let (source, line) = (self.source.clone(), Some(self.line(node)));
        let (workload, relation) = (workload.to_owned(), relation.to_owned());
        self.estate.joints.push(Joint { workload, relation, resource, source, line });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_to_is_known_by_its_address() {
        let image = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/team/agent:latest";
        assert_eq!(repository(image).as_deref(), Some("arn:aws:ecr:eu-west-1:111122223333:repository/team/agent"));
        assert_eq!(repository(&image.replace(":latest", "@sha256:00")), None);
        assert_eq!(repository("public.example/agent:1"), None);
        let address = "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/agent";
        assert_eq!(source(address, "1").as_deref(), Some("arn:aws:codecommit:eu-west-1:1:agent"));
        assert_eq!(source("https://git.example/agent", "1"), None);
    }
}
