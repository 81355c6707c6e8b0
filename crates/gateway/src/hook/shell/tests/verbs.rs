//! What commands do to what another system holds, and what they publish.

use super::{Shell, read, verdict};

fn does(command: &str, what: &str) {
    let Shell { beyond, .. } = read(command);
    assert!(beyond.contains(what), "{command}: {beyond:?}");
    assert_eq!(verdict(command), "ask", "{command}");
}

fn does_nothing(command: &str) {
    let shell = read(command);
    assert!(shell.beyond.is_empty(), "{command}: {:?}", shell.beyond);
    assert_eq!(verdict(command), "permit", "{command}: {:?}", shell.fact());
}

#[test]
fn what_another_system_holds_is_not_destroyed_unasked() {
    for command in [
        "terraform destroy",
        "terraform apply -auto-approve",
        "terraform apply plan.out",
        "tofu destroy -auto-approve",
        "pulumi destroy --yes",
        "cdk destroy --all --force",
        "kubectl delete ns/prod",
        "kubectl drain node-1",
        "helm uninstall web",
        "aws s3 rb s3://b --force",
        "aws s3 rm s3://b --recursive",
        "aws s3 sync --delete a s3://b",
        "aws ec2 terminate-instances --instance-ids i-1",
        "aws dynamodb delete-table --table-name t",
        "gcloud compute instances delete x",
        "gcloud projects delete p",
        "gsutil -m rm -r gs://b",
        "az group delete -n g --yes",
        "doctl compute droplet delete 1",
        "gh repo delete o/r --yes",
        "gh release delete v1",
        "gh secret set TOKEN",
        "gh api -X DELETE repos/o/r",
        "gh api -XDELETE repos/o/r",
        "gh api repos/o/r --method=delete",
        "git push --force",
        "git push -f origin main",
        "git push -uf origin main",
        "git push --mirror",
        "git push origin --delete x",
        "git push origin -d x",
        "git push --prune origin",
        "git push origin +main",
        "git push origin +HEAD:refs/heads/main",
        "git push origin :x",
        "docker system prune -af",
        "docker volume rm data",
        "npm unpublish x@1.0.0",
        "cargo yank --version 1.0.0 x",
        "heroku apps:destroy -a x",
        "heroku pg:reset",
        "flyctl apps destroy x",
        "vercel rm x",
        "supabase db reset --linked",
        "prisma migrate reset",
        "npx prisma@5 migrate reset --force",
        "rails db:drop",
        "bin/rails db:drop:all",
        "bundle exec rake db:reset",
        "php artisan migrate:fresh",
        "python manage.py flush --no-input",
        "dropdb prod",
    ] {
        does(command, "destroys");
    }
}

#[test]
fn what_is_published_is_asked() {
    for command in [
        "npm publish",
        "npm publ",
        "npm -w web publish --access public",
        "pnpm -r publish",
        "yarn npm publish",
        "cargo publish",
        "cargo +nightly publish",
        "twine upload dist/x.whl",
        "python3 -m twine upload dist/x.whl",
        "uvx twine upload dist/x.whl",
        "uv publish",
        "gem push x.gem",
        "mvn clean deploy",
        "./gradlew publish",
        "docker push o/x:1",
        "gh release create v1",
        "gh repo edit --visibility public",
    ] {
        does(command, "publishes");
    }
}

/// Options before the verb and between its words, with a value or without, and other ways to write and to start the same.
#[test]
fn a_verb_is_found_however_it_is_written() {
    for command in [
        "kubectl -n x delete pod y",
        "kubectl --context prod --namespace x delete pod y",
        "kubectl --context=prod delete pod y",
        "kubectl --v 9 delete ns x",
        "aws --profile p s3 rb s3://b",
        "aws s3 --profile p rb s3://b",
        "aws --region eu-central-1 ec2 --output json terminate-instances --instance-ids i-1",
        "terraform -chdir=x destroy",
        "docker --context c volume rm data",
        "git -C x push -f",
        "git --git-dir x push --force",
        "git --no-pager push --mirr",
        "git push --del origin x",
        "/usr/bin/git push -f",
        "g'i't pu\\sh --fo\"rce\"",
        "env git push -f",
        "CI=1 git push -f",
        "command git push -f",
        "nohup terraform destroy &",
        "timeout 60 terraform destroy",
        "find . -name x -exec git push -f \\;",
        "bash -c 'git push -f'",
        "sh -c \"kubectl delete ns x\"",
        "eval 'git push -f'",
        "echo $(git push -f)",
        "true && (git push -f) || ls",
        "aws-vault exec p -- aws s3 rb s3://b",
        "direnv exec . terraform destroy",
        "docker run --rm bitnami/kubectl:latest delete ns x",
        "docker exec ci bash -c 'kubectl delete ns x'",
        "ssh h.example kubectl delete ns x",
        "ssh -p 22 h.example 'rm -rf /srv/x'",
        "ssh h.example -t -- 'cd /srv && rm -r x'",
        "ssh h.example \"bash -c 'git push -f'\"",
        "ssh h.example <<'E'\nrm -rf /srv/x\nE",
        "sshpass -e ssh h.example reboot",
        "kubectl exec p -- rm -rf /data",
        "kubectl exec p -- sh -c 'rm -rf /data'",
    ] {
        does(command, "destroys");
    }
    // Asked for another reason, too.
    for command in [
        "sudo -u x terraform destroy",
        "sudo kubectl delete ns x",
        "kubectl get ns -o name | xargs kubectl delete",
        "xargs -n 1 -I {} kubectl delete {}",
        "git -c alias.p=push push -f",
        "kubectl delete ns $NAME",
    ] {
        assert!(read(command).beyond.contains("destroys"), "{command}: {:?}", read(command));
        assert_ne!(verdict(command), "permit", "{command}");
    }
    // An alias stands in the user's own configuration, and to put one there is asked.
    for command in ["git -c alias.p='push -f' p", "git config alias.p 'push -f'", "git config remote.origin.push +main"]
    {
        assert_eq!(verdict(command), "ask", "{command}");
    }
}

#[test]
fn a_rehearsal_is_no_deed() {
    for command in [
        "terraform plan -destroy",
        "terraform destroy -help",
        "tofu plan",
        "pulumi preview",
        "kubectl delete ns x --dry-run=client",
        "kubectl delete --help",
        "helm uninstall x --dry-run",
        "aws s3 rm s3://b --recursive --dryrun",
        "aws ec2 terminate-instances --instance-ids i-1 --dry-run",
        "git push --force --dry-run",
        "git push -n --delete origin x",
        "npm publish --access public --dry-run",
        "cargo publish --allow-dirty --dry-run",
        "cargo publish -n",
        "gh release create -h",
        "twine upload --help",
    ] {
        does_nothing(command);
    }
    for command in [
        "kubectl delete ns x --dry-run=none",
        "kubectl delete ns x --dry-run=client --dry-run=none",
        "kubectl delete ns x --namespace --dry-run=client",
        "kubectl delete ns x -- --dry-run=client",
        "aws ec2 terminate-instances --dry-run --no-dry-run --instance-ids i-1",
        "git push -f --dry-run --no-dry-run",
        "git push -f -n --no-dr",
        "git push -f -o --dry-run",
        "git push -f -o --help",
        "vercel rm x --dry-run",
    ] {
        does(command, "destroys");
    }
    // It does not know the option, and ignores it.
    does("yarn publish --dry-run", "publishes");
}

#[test]
fn statements_are_known_by_their_first_words() {
    for command in [
        "psql -c 'DROP TABLE users'",
        "psql -h db.example -U me -d shop -c 'drop schema public cascade'",
        "psql -qtc'DROP TABLE users'",
        "psql --command='TRUNCATE users'",
        "psql --command 'truncate\"users\"'",
        "psql -c 'DELETE FROM users'",
        "psql -c 'delete from users where 1=1'",
        "psql -c \"DELETE FROM users WHERE 'a' = 'a' RETURNING id\"",
        "psql -c 'DELETE FROM users -- where id = 1'",
        "psql -c 'DELETE FROM users /* where id = 1 */'",
        "psql -c 'UPDATE users SET admin = true'",
        "psql -c 'ALTER TABLE users DROP COLUMN mail'",
        "psql -c 'SELECT 1; DROP TABLE users'",
        "psql -c \"SELECT '--'; DROP TABLE users\"",
        "psql -c '/* a; b */ DROP TABLE users'",
        "psql -c 'DROP/**/TABLE users'",
        "psql -c '  (\n DROP TABLE users'",
        "psql -c 'WITH gone AS (DELETE FROM users RETURNING *) SELECT * FROM gone WHERE id = 1'",
        "psql -c 'EXPLAIN ANALYZE DELETE FROM users WHERE id = 1'",
        "psql <<'E'\nSELECT 1;\n-- note; with a semicolon\nDROP TABLE users;\nE",
        "psql <<< 'DROP TABLE users'",
        "psql -d shop <<E | cat\nDROP TABLE users\nE",
        "cat <<'E' | psql\nDROP TABLE users\nE",
        "echo 'DROP TABLE users' | psql",
        "echo DROP TABLE users | psql shop",
        "echo 'DROP TABLE users' | cat | psql",
        "printf 'SELECT 1;\\nDROP TABLE users' | psql",
        "echo \"DROP TABLE $NAME\" | psql",
        "mysql -u root -e 'DROP DATABASE shop'",
        "mysql -e'DROP DATABASE shop'",
        "mysql --execute='/*!50000 DROP DATABASE shop */'",
        "docker exec -i db psql -U postgres -c 'DROP TABLE users'",
        "docker exec db sh -c 'psql -c \"DROP TABLE users\"'",
        "docker exec -i db psql <<'E'\nDROP TABLE users\nE",
        "mongosh shop --eval 'db.users.drop()'",
        "mongosh shop --eval 'db.users[\"dr\" + \"op\"]()'",
        "redis-cli FLUSHALL",
        "redis-cli -h r.example flushdb",
        "redis-cli eval \"redis.call('FLUSHALL')\" 0",
        "bq query 'DROP TABLE d.t'",
        "heroku pg:psql -c 'DROP TABLE users'",
    ] {
        does(command, "destroys");
    }
    for command in [
        "psql -c 'SELECT * FROM users'",
        "psql -d drop -c 'SELECT 1'",
        "psql -f drop.sql",
        "psql -f migrations/drop-old.sql",
        "psql -c 'DELETE FROM users WHERE id = 1'",
        "psql -c \"DELETE FROM users WHERE name = 'x'\"",
        "psql -c 'UPDATE users SET admin = true WHERE id = 1'",
        "psql -c 'CREATE TABLE t (id int)'",
        "psql -c 'ALTER TABLE users ADD COLUMN mail text'",
        "psql -c 'INSERT INTO t VALUES (1) ON CONFLICT (id)\nDO UPDATE SET id = 2'",
        "psql <<'E'\n-- drop table users later\nSELECT 1;\nE",
        "echo 'DROP TABLE users' > drop.sql",
        "cat drop.sql | psql",
        "mysql -e 'SHOW TABLES'",
        "mongosh shop --eval 'db.users.find()'",
        "redis-cli GET x",
        "grep -rn 'DROP TABLE' migrations",
    ] {
        does_nothing(command);
    }
    assert!(!read("psql -c \"SELECT 'DROP TABLE users' \\gexec\"").parsed, "what it makes is run");
}

#[test]
fn everyday_work_with_the_same_programs_is_permitted() {
    for command in [
        "git push",
        "git push -u origin feature/x",
        "git push origin HEAD:refs/heads/x",
        "git push --tags",
        "git push --follow-tags origin main",
        "git push --force-with-lease origin x",
        "git push --force-with-lease=x:1a2b --force-if-includes origin x",
        "git stash push -m x",
        "git fetch origin +refs/heads/main:refs/remotes/origin/main",
        "git fetch --prune",
        "git log --grep push",
        "git branch -d done",
        "git commit -m 'git push --force is asked about'",
        "terraform init",
        "terraform plan -out plan.out",
        "terraform validate",
        "kubectl get pods -n delete",
        "kubectl get pods -A",
        "kubectl apply -f x.yaml",
        "kubectl exec p -- ls",
        "kubectl logs p",
        "helm list",
        "helm upgrade --install web ./chart",
        "aws s3 ls",
        "aws s3 cp a s3://b/a",
        "aws ec2 describe-instances",
        "gcloud projects list",
        "az group list",
        "gh pr create --title 'delete x' --body y",
        "gh release list",
        "gh api repos/o/r",
        "docker compose down -v",
        "docker image prune -f",
        "docker ps",
        "npm install",
        "npm run publish-docs",
        "npm pkg get version",
        "npm prune",
        "cargo build",
        "cargo install twine",
        "yarn run publish",
        "prisma migrate dev",
        "supabase db reset",
        "rails db:migrate",
        "python manage.py migrate",
        "echo kubectl delete ns x",
        "grep -rn 'kubectl delete' docs",
        "which terraform",
        "command -v kubectl",
        "pip install twine",
        "brew install terraform kubectl helm",
        "ssh h.example uptime",
        "ssh h.example 'grep -r x /srv'",
    ] {
        does_nothing(command);
    }
}

/// A command that names more of them than are looked at is asked about.
#[test]
fn what_is_looked_at_is_bounded() {
    let many = format!("tool {}git push -f", "git ".repeat(40));
    assert_eq!(verdict(&many), "ask");
    let deep = format!("{}kubectl delete ns x", "ssh h.example ".repeat(8));
    assert_eq!(verdict(&deep), "ask");
    let long = format!("kubectl {}delete ns x", "--v 1 ".repeat(2_000));
    assert_eq!(verdict(&long), "ask");
}
