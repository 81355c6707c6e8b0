"""Prints AWS's own managed policies, one a line: what stands behind `policy/` in the ARN, a tab, the document.

    python tests/tools/managed_policies.py | zstd --ultra -22 > crates/connect/src/aws/managed.tsv.zst

They are taken from moto (Apache-2.0), which holds what AWS's API answers; set `AS_OF` in `managed.rs` to the newest
date, which is printed on standard error.
"""

import json
import sys

from moto.iam.aws_managed_policies import aws_managed_policies_data

policies = json.loads(aws_managed_policies_data)
lines = []
for name, policy in policies.items():
    path = policy.get("Path", "/")[1:]
    lines.append(f"{path}{name}\t" + json.dumps(policy["Document"], separators=(",", ":"), sort_keys=True))
print("\n".join(sorted(lines)), end="")
print(max(policy["CreateDate"] for policy in policies.values()), file=sys.stderr)
