//! The licences of what is linked into the program: permissive ones ask that they come along.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{file_name, files, text};
use crate::Result;

/// Beginnings of the names of files that hold a licence, in capitals.
const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "UNLICENSE"];

/// One text with the licences of all packages that `guru` is made of: what each says about itself,
/// and its own files, each text once.
pub fn of(metadata: &Value) -> Result<Vec<u8>> {
    let mut list = String::from(
        "Guru is made of these packages, under the licences that they name. The texts that come\n\
         with them follow.\n\n",
    );
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in linked(metadata)? {
        let name = text(&package["name"])?;
        let version = text(&package["version"])?;
        let licence = package["license"].as_str().unwrap_or("see below");
        writeln!(list, "{name} {version}: {licence}")?;
        let manifest = Path::new(text(&package["manifest_path"])?);
        for path in files(manifest.parent().ok_or("a package without a folder")?)? {
            let file = file_name(&path);
            if NAMES
                .iter()
                .any(|begin| file.to_uppercase().starts_with(begin))
            {
                let licence = String::from_utf8_lossy(&fs::read(&path)?).replace("\r\n", "\n");
                texts
                    .entry(licence.trim_end().to_owned())
                    .or_default()
                    .push(format!("{name} {version}"));
            }
        }
    }
    let mut texts: Vec<_> = texts.into_iter().collect();
    texts.sort_by(|(_, a), (_, b)| a.cmp(b));
    for (licence, mut packages) in texts {
        packages.dedup();
        write!(
            list,
            "\n{}\n{}\n\n{licence}\n",
            "=".repeat(72),
            packages.join(", ")
        )?;
    }
    Ok(list.into_bytes())
}

/// Packages from elsewhere that the program is linked with, sorted.
fn linked(metadata: &Value) -> Result<Vec<&Value>> {
    let array = |value: &'_ Value| value.as_array().cloned().unwrap_or_default();
    let packages = metadata["packages"].as_array().ok_or("no packages")?;
    let by_id = |id: &str| packages.iter().find(|package| package["id"] == *id);
    let nodes = metadata["resolve"]["nodes"]
        .as_array()
        .ok_or("no dependencies")?;
    let root = packages
        .iter()
        .find(|package| package["name"] == "guru")
        .ok_or("the package guru is missing")?;
    let mut waiting = vec![text(&root["id"])?.to_owned()];
    let mut seen = waiting.clone();
    while let Some(id) = waiting.pop() {
        let node = nodes.iter().find(|node| node["id"] == *id);
        for dependency in node.map(|node| array(&node["deps"])).unwrap_or_default() {
            // Those for tests and for building alone have a kind.
            let linked = array(&dependency["dep_kinds"])
                .iter()
                .any(|kind| kind["kind"].is_null());
            let id = text(&dependency["pkg"])?.to_owned();
            if linked && !seen.contains(&id) {
                seen.push(id.clone());
                waiting.push(id);
            }
        }
    }
    let mut found: Vec<&Value> = seen
        .iter()
        .filter_map(|id| by_id(id))
        .filter(|package| !package["source"].is_null())
        .collect();
    found.sort_by_key(|package| {
        let part = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
        (part("name"), part("version"))
    });
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_linked_is_listed() {
        let package = |name: &str, source: Option<&str>| {
            json!({
                "id": name, "name": name, "version": "1.0.0", "source": source,
                "license": "MIT", "manifest_path": "/nowhere/Cargo.toml",
            })
        };
        let needs = |name: &str, kind: Option<&str>| json!({ "pkg": name, "dep_kinds": [{ "kind": kind }] });
        let registry = Some("registry");
        let metadata = json!({
            "packages": [
                package("guru", None), package("guru-link", None), package("used", registry),
                package("deeper", registry), package("tester", registry), package("builder", registry),
            ],
            "resolve": { "nodes": [
                { "id": "guru", "deps": [
                    needs("guru-link", None), needs("used", None), needs("tester", Some("dev")),
                ] },
                { "id": "guru-link", "deps": [needs("used", None), needs("builder", Some("build"))] },
                { "id": "used", "deps": [needs("deeper", None)] },
            ] },
        });
        let names: Vec<_> = linked(&metadata)
            .unwrap()
            .iter()
            .map(|package| text(&package["name"]).unwrap())
            .collect();
        assert_eq!(names, ["deeper", "used"]);
    }
}
