//! Properties of boards as Arduino's cores keep them (`boards.txt`), for the board that a sketch was
//! built for.
//!
//! Source: Arduino's platform specification: `BOARD.key=value`, `BOARD.menu.MENU.OPTION.key=value`
//! counting more where the option is chosen, `{key}` standing for another property.

use std::collections::HashMap;

use serde_json::Value;

/// How often properties may stand for one another.
const DEPTH: usize = 8;

/// The longest value that is made of others, in bytes.
const MAX_VALUE: usize = 4096;

/// A board with what was chosen in its menus: `esp32:esp32:esp32s3:FlashMode=qio,FlashSize=8M`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoardName {
    /// Vendor of the package.
    pub package: String,
    /// Architecture, which is the folder of the core.
    pub architecture: String,
    /// The board.
    pub board: String,
    /// Menus, and what was chosen in each.
    pub options: Vec<(String, String)>,
}

impl BoardName {
    /// Reads a fully qualified board name. `None`: it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, ':').map(str::to_owned);
        let (package, architecture, board) = (parts.next()?, parts.next()?, parts.next()?);
        let options = parts.next().unwrap_or_default();
        let options = options
            .split(',')
            .filter_map(|option| option.split_once('='));
        Some(Self {
            package,
            architecture,
            board,
            options: options
                .map(|(menu, option)| (menu.to_owned(), option.to_owned()))
                .collect(),
        })
    }
}

/// What `build.options.json` of a build folder says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BuildOptionsFile {
    pub board: BoardName,
    /// Folders of packages.
    pub folders: Vec<String>,
}

impl BuildOptionsFile {
    /// Reads the JSON. `None`: it names no board.
    pub fn parse(text: &str) -> Option<Self> {
        let root: Value = serde_json::from_str(text).ok()?;
        let text = |key: &str| root.get(key).and_then(Value::as_str);
        let folders = text("hardwareFolders").unwrap_or_default().split(',');
        Some(Self {
            board: BoardName::parse(text("fqbn")?)?,
            folders: folders.map(str::to_owned).collect(),
        })
    }
}

/// The properties of one board.
#[derive(Debug, Clone, Default)]
pub struct BoardProperties(HashMap<String, String>);

impl BoardProperties {
    /// Takes what `boards.txt` says of a board. In a menu where nothing was chosen, the first option
    /// counts.
    #[must_use]
    pub fn new(text: &str, name: &BoardName) -> Self {
        let prefix = format!("{}.", name.board);
        let mut properties = HashMap::new();
        let mut chosen: HashMap<&str, &str> = HashMap::new();
        for (menu, option) in &name.options {
            chosen.insert(menu, option);
        }
        let mut of_menus = Vec::new();
        for line in text.lines() {
            let Some((key, value)) = line.trim().split_once('=') else {
                continue;
            };
            let Some(key) = key.strip_prefix(&prefix) else {
                continue;
            };
            let value = value.trim();
            let Some(menu) = key.strip_prefix("menu.") else {
                properties.insert(key.to_owned(), value.to_owned());
                continue;
            };
            let mut parts = menu.splitn(3, '.');
            if let (Some(menu), Some(option)) = (parts.next(), parts.next()) {
                let chosen = *chosen.entry(menu).or_insert(option);
                if let (true, Some(key)) = (chosen == option, parts.next()) {
                    of_menus.push((key.to_owned(), value.to_owned()));
                }
            }
        }
        properties.extend(of_menus);
        Self(properties)
    }

    /// A property, with what it stands for. `None`: there is none, or it stands for one that there is
    /// not.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<String> {
        self.expanded(key, DEPTH)
    }

    fn expanded(&self, key: &str, depth: usize) -> Option<String> {
        let value = self.0.get(key)?;
        let depth = depth.checked_sub(1)?;
        let (mut whole, mut rest) = (String::new(), value.as_str());
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, behind) = behind.split_once('}')?;
            whole.push_str(before);
            whole.push_str(&self.expanded(name, depth)?);
            rest = behind;
            if whole.len() > MAX_VALUE {
                return None;
            }
        }
        whole.push_str(rest);
        Some(whole)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "# comment\nesp32s3.name=ESP32S3 Dev Module\nesp32s3.build.mcu=esp32s3\n\
        esp32s3.build.bootloader_addr=0x0\nesp32s3.build.boot=qio\n\
        esp32s3.build.flash_mode={build.boot}\nesp32s3.menu.FlashMode.qio=QIO 80MHz\n\
        esp32s3.menu.FlashMode.qio.build.flash_mode=dio\nesp32s3.menu.FlashMode.opi=OPI\n\
        esp32s3.menu.FlashMode.opi.build.flash_mode=dout\nesp32s3.menu.FlashSize.4M=4MB\n\
        esp32s3.menu.FlashSize.4M.build.flash_size=4MB\nesp32s3.menu.FlashSize.8M=8MB\n\
        esp32s3.menu.FlashSize.8M.build.flash_size=8MB\nother.build.mcu=esp32\n\
        loop.a={b}\nloop.b={a}\n";

    fn properties(board: &str) -> BoardProperties {
        BoardProperties::new(TEXT, &BoardName::parse(board).unwrap())
    }

    #[test]
    fn what_was_chosen_in_a_menu_counts_and_else_its_first_option() {
        let board = properties("esp32:esp32:esp32s3:FlashSize=8M");
        assert_eq!(board.get("build.mcu").as_deref(), Some("esp32s3"));
        assert_eq!(board.get("build.flash_size").as_deref(), Some("8MB"));
        assert_eq!(board.get("build.flash_mode").as_deref(), Some("dio"));
        let board = properties("esp32:esp32:esp32s3:FlashMode=opi");
        assert_eq!(board.get("build.flash_mode").as_deref(), Some("dout"));
        assert_eq!(board.get("build.flash_size").as_deref(), Some("4MB"));
        assert_eq!(board.get("build.none"), None);
    }

    #[test]
    fn properties_stand_for_others_but_not_for_themselves() {
        let board = properties("esp32:esp32:esp32s3:FlashMode=none");
        assert_eq!(board.get("build.flash_mode").as_deref(), Some("qio"));
        assert_eq!(properties("x:y:loop").get("a"), None);
    }

    #[test]
    fn the_build_names_its_board_and_where_its_core_is() {
        let json =
            r#"{"fqbn": "esp32:esp32:esp32c3:CDCOnBoot=cdc", "hardwareFolders": "/a/packages,/b"}"#;
        let options = BuildOptionsFile::parse(json).unwrap();
        assert_eq!(options.board.board, "esp32c3");
        assert_eq!(options.board.options, [("CDCOnBoot".into(), "cdc".into())]);
        assert_eq!(options.folders, ["/a/packages", "/b"]);
        assert_eq!(BuildOptionsFile::parse("{}"), None);
        assert_eq!(BoardName::parse("esp32:esp32"), None);
    }

    proptest! {
        #[test]
        fn no_boards_file_makes_it_panic(
            text in "(b\\.(menu\\.)?[a-c.]{0,6}=[{}a-c.]{0,8}\n){0,30}",
            name in "[a-c:=,]{0,12}",
        ) {
            for name in [BoardName::parse(&name), BoardName::parse("p:a:b:a=b")].into_iter().flatten() {
                let properties = BoardProperties::new(&text, &name);
                for key in ["a", "b", "a.b", "c"] {
                    let _ = properties.get(key);
                }
            }
        }
    }
}
