//! Base45 (RFC 9285), strict: every byte string has one text and every accepted text one byte string.

const ALPHABET: &[u8; 45] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";

/// Value of each character, 0xff for those outside the alphabet.
const VALUES: [u8; 256] = {
    let mut values = [0xff; 256];
    let mut i = 0;
    while i < ALPHABET.len() {
        values[ALPHABET[i] as usize] = i as u8;
        i += 1;
    }
    values
};

/// Encodes: two bytes become three characters, a last odd byte two.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(2) * 3);
    let mut push = |value: u32| text.push(char::from(ALPHABET[(value % 45) as usize]));
    for chunk in bytes.chunks(2) {
        match *chunk {
            [a, b] => {
                let n = u32::from(a) * 256 + u32::from(b);
                push(n);
                push(n / 45);
                push(n / (45 * 45));
            }
            [a] => {
                push(u32::from(a));
                push(u32::from(a) / 45);
            }
            _ => unreachable!("chunks(2) yields one or two bytes"),
        }
    }
    text
}

/// Decodes into `out`, which must be exactly as long as the decoded bytes. `None` for a character outside the
/// alphabet, a chunk above 65,535 (or 255 at an odd end), or any other length.
#[must_use]
pub fn decode_into(text: &[u8], out: &mut [u8]) -> Option<()> {
    let expected = out.len() / 2 * 3 + out.len() % 2 * 2;
    if text.len() != expected {
        return None;
    }
    for (chunk, target) in text.chunks(3).zip(out.chunks_mut(2)) {
        let mut n = 0u32;
        for &c in chunk.iter().rev() {
            let value = VALUES[usize::from(c)];
            if value == 0xff {
                return None;
            }
            n = n * 45 + u32::from(value);
        }
        match target {
            [a, b] => [*a, *b] = u16::try_from(n).ok()?.to_be_bytes(),
            [a] => *a = u8::try_from(n).ok()?,
            _ => unreachable!("chunks_mut(2) yields one or two bytes"),
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &str) -> Option<Vec<u8>> {
        let len = text.len() / 3 * 2 + text.len() % 3 / 2;
        let mut out = vec![0; len];
        decode_into(text.as_bytes(), &mut out).map(|()| out)
    }

    #[test]
    fn the_examples_of_the_rfc_hold_both_ways() {
        for (bytes, text) in [
            (&b"AB"[..], "BB8"),
            (b"Hello!!", "%69 VD92EX0"),
            (b"base-45", "UJCLQE7W581"),
            (b"ietf!", "QED8WEX0"),
            (b"", ""),
        ] {
            assert_eq!(encode(bytes), text);
            assert_eq!(decode(text).as_deref(), Some(bytes));
        }
    }

    #[test]
    fn every_pair_and_every_single_byte_survives_and_has_one_text() {
        for n in 0..=u16::MAX {
            let bytes = n.to_be_bytes();
            assert_eq!(decode(&encode(&bytes)).as_deref(), Some(&bytes[..]));
        }
        for n in 0..=u8::MAX {
            assert_eq!(decode(&encode(&[n])).as_deref(), Some(&[n][..]));
        }
    }

    #[test]
    fn it_agrees_with_an_independent_encoder() {
        let bytes: Vec<u8> = (0..=255).cycle().step_by(7).take(1001).collect();
        assert_eq!(encode(&bytes), base45::encode(&bytes));
    }

    #[test]
    fn overflowing_chunks_foreign_characters_and_impossible_lengths_are_refused() {
        // ":::" is 91,124; "FGW" is 65,535, "GGW" 65,536; "U5" is 255, "V5" 256.
        for text in [":::", "GGW", "V5", "::", "A", "BB8A", "bb8", "BB\u{e9}", "BB_", "BB\0"] {
            assert_eq!(decode(text), None, "{text:?}");
        }
        assert_eq!(decode("FGW"), Some(vec![0xff, 0xff]));
        assert_eq!(decode("U5"), Some(vec![0xff]));
    }
}
