//! The alphabet of short messages (3GPP TS 23.038). One character that it does not have halves what fits into a part of a
//! message, and each part is paid for.

/// What looks, or reads, like characters that are not in it.
const LOOK_ALIKES: [(&str, &str); 40] = [
    ("\t\u{a0}\u{2002}\u{2003}\u{2009}\u{202f}", " "),
    ("\u{200b}\u{feff}", ""),
    ("“”„‟«»″", "\""),
    ("‘’‚‛`´′‹›", "'"),
    ("–—−‐‑‒―", "-"),
    ("•·×", "*"),
    ("…", "..."),
    ("→⇒", "->"),
    ("←⇐", "<-"),
    ("≥", ">="),
    ("≤", "<="),
    ("≠", "!="),
    ("±", "+-"),
    ("°", " deg "),
    ("µμ", "u"),
    ("áâãāăą", "a"),
    ("ÀÁÂÃĀĂĄ", "A"),
    ("çćč", "c"),
    ("ĆČ", "C"),
    ("ďđ", "d"),
    ("ĎĐ", "D"),
    ("êëēěę", "e"),
    ("ÈÊËĒĚĘ", "E"),
    ("ğ", "g"),
    ("íîïīı", "i"),
    ("ÌÍÎÏĪİ", "I"),
    ("ł", "l"),
    ("Ł", "L"),
    ("ńň", "n"),
    ("ŃŇ", "N"),
    ("óôõōő", "o"),
    ("ÒÓÔÕŌŐ", "O"),
    ("ř", "r"),
    ("śšş", "s"),
    ("ŚŠŞ", "S"),
    ("ťţ", "t"),
    ("úûūůű", "u"),
    ("ÙÚÛŪŮŰ", "U"),
    ("ýÿ", "y"),
    ("źżž", "z"),
];

/// The same in this alphabet as far as it goes; what is left has no look-alike.
pub(super) fn reduced(text: &str) -> String {
    let mut reduced = String::with_capacity(text.len());
    for character in text.chars() {
        let look_alike = LOOK_ALIKES
            .iter()
            .find(|(those, _)| those.contains(character));
        match look_alike {
            Some((_, alike)) => reduced.push_str(alike),
            None => reduced.push(character),
        }
    }
    reduced
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The basic alphabet, and the table that extends it.
    const ALPHABET: &str = concat!(
        "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§",
        "¿abcdefghijklmnopqrstuvwxyzäöñüà",
        "^{}\\[~]|€",
    );

    #[test]
    fn what_has_a_look_alike_is_replaced_by_it() {
        for (text, expected) in [
            (
                "DISK CRITICAL - / 12 MB {0%}",
                "DISK CRITICAL - / 12 MB {0%}",
            ),
            ("“größer” – 3 × ‘95 %’…", "\"größer\" - 3 * '95 %'..."),
            (
                "température: 80\u{a0}°C ≥ 75",
                "température: 80  deg C >= 75",
            ),
            ("Zażółć gęślą jaźń", "Zazolc gesla jazn"),
            ("5 µs", "5 us"),
            // nothing looks like it
            ("磁盘 “满”", "磁盘 \"满\""),
        ] {
            assert_eq!(reduced(text), expected);
        }
    }

    #[test]
    fn look_alikes_are_of_the_alphabet_and_only_for_what_is_not() {
        for (those, alike) in LOOK_ALIKES {
            assert!(alike.chars().all(|c| ALPHABET.contains(c)), "{alike}");
            assert!(!those.chars().any(|c| ALPHABET.contains(c)), "{those}");
        }
    }
}
