//! Decompression of LZO1X.
//!
//! The stream is a sequence of instructions. Each copies bytes out of what was written before
//! (a match) or out of the stream (literals); the lowest two bits of a match's distance say how
//! many literals follow it, and the number of literals before decides what an instruction below
//! 16 means.

use super::codec::Damaged;

/// A bounded run of input.
struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Input<'_> {
    #[inline]
    fn byte(&mut self) -> Result<usize, Damaged> {
        let byte = *self.bytes.get(self.at).ok_or(Damaged)?;
        self.at += 1;
        Ok(usize::from(byte))
    }

    /// A length that did not fit its instruction: each zero byte adds 255.
    fn long_length(&mut self, base: usize) -> Result<usize, Damaged> {
        let mut length = base;
        loop {
            match self.byte()? {
                0 => length = length.checked_add(255).ok_or(Damaged)?,
                last => return length.checked_add(last).ok_or(Damaged),
            }
        }
    }

    /// The 14 high bits of the next two bytes and the two low ones.
    #[inline]
    fn distance(&mut self) -> Result<(usize, usize), Damaged> {
        let word = self.byte()? | self.byte()? << 8;
        Ok((word >> 2, word & 3))
    }
}

/// The output so far.
struct Output<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

/// Copies are done in blocks of this size where there is room, whatever their length.
const BLOCK: usize = 16;

impl Output<'_> {
    #[inline]
    fn literals(&mut self, input: &mut Input, count: usize) -> Result<(), Damaged> {
        if count <= BLOCK
            && let Some(from) = input
                .bytes
                .get(input.at..)
                .and_then(|b| b.first_chunk::<BLOCK>())
            && let Some(to) = self
                .bytes
                .get_mut(self.at..)
                .and_then(|b| b.first_chunk_mut())
        {
            *to = *from;
        } else {
            let end = input.at.checked_add(count).ok_or(Damaged)?;
            let from = input.bytes.get(input.at..end).ok_or(Damaged)?;
            let to = self.at..self.at.checked_add(count).ok_or(Damaged)?;
            self.bytes.get_mut(to).ok_or(Damaged)?.copy_from_slice(from);
        }
        input.at += count;
        self.at += count;
        Ok(())
    }

    #[inline]
    fn matched(&mut self, distance: usize, length: usize) -> Result<(), Damaged> {
        let from = self.at.checked_sub(distance).ok_or(Damaged)?;
        let end = self.at.checked_add(length).ok_or(Damaged)?;
        if end > self.bytes.len() {
            return Err(Damaged);
        }
        if distance >= BLOCK && end.next_multiple_of(BLOCK) + BLOCK <= self.bytes.len() {
            let mut done = 0;
            while done < length {
                let block = self
                    .bytes
                    .get(from + done..)
                    .and_then(|b| b.first_chunk::<BLOCK>());
                let block = *block.ok_or(Damaged)?;
                let to = self
                    .bytes
                    .get_mut(self.at + done..)
                    .and_then(|b| b.first_chunk_mut());
                *to.ok_or(Damaged)? = block;
                done += BLOCK;
            }
        } else {
            // What is copied may include what this copy writes: it repeats with its distance.
            let mut done = 0;
            while done < length {
                let count = (length - done).min(distance + done);
                self.bytes.copy_within(from..from + count, self.at + done);
                done += count;
            }
        }
        self.at = end;
        Ok(())
    }
}

/// Any number of literals above those that follow a match directly.
const MANY: usize = 4;

/// Decompresses into `output` and returns the number of bytes written.
pub(super) fn decompress(input: &[u8], output: &mut [u8]) -> Result<usize, Damaged> {
    let mut input = Input {
        bytes: input,
        at: 0,
    };
    let mut output = Output {
        bytes: output,
        at: 0,
    };
    let mut literals_before = 0;
    if let Some(&first) = input.bytes.first()
        && first > 17
    {
        let count = usize::from(first) - 17;
        input.at = 1;
        output.literals(&mut input, count)?;
        literals_before = count.min(MANY);
    }
    loop {
        let instruction = input.byte()?;
        let (distance, length, follow) = match instruction {
            0..16 if literals_before == 0 => {
                let count = match instruction {
                    0 => input.long_length(15)?,
                    short => short,
                };
                output.literals(&mut input, count.checked_add(3).ok_or(Damaged)?)?;
                literals_before = MANY;
                continue;
            }
            0..16 => {
                let high = input.byte()? << 2;
                let (base, length) = if literals_before < MANY {
                    (1, 2)
                } else {
                    (2049, 3)
                };
                (high + (instruction >> 2) + base, length, instruction & 3)
            }
            16..32 => {
                let length = match instruction & 7 {
                    0 => input.long_length(7)?,
                    short => short,
                };
                let (low, follow) = input.distance()?;
                let distance = ((instruction & 8) << 11) + low + 16384;
                if distance == 16384 {
                    return Ok(output.at);
                }
                (distance, length.checked_add(2).ok_or(Damaged)?, follow)
            }
            32..64 => {
                let length = match instruction & 31 {
                    0 => input.long_length(31)?,
                    short => short,
                };
                let (low, follow) = input.distance()?;
                (low + 1, length.checked_add(2).ok_or(Damaged)?, follow)
            }
            64..128 => {
                let high = input.byte()? << 3;
                let length = (instruction >> 5 & 1) + 3;
                (high + (instruction >> 2 & 7) + 1, length, instruction & 3)
            }
            _ => {
                let high = input.byte()? << 3;
                let length = (instruction >> 5 & 3) + 5;
                (high + (instruction >> 2 & 7) + 1, length, instruction & 3)
            }
        };
        output.matched(distance, length)?;
        if follow > 0 {
            output.literals(&mut input, follow)?;
        }
        literals_before = follow;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(input: &[u8], size: usize) -> Result<Vec<u8>, Damaged> {
        let mut output = vec![0xaa; size];
        let count = decompress(input, &mut output)?;
        output.truncate(count);
        Ok(output)
    }

    /// Made by `lzo1x_1_compress` of liblzo2 2.10.
    #[test]
    fn decodes_what_the_reference_library_encoded() {
        let encoded = b"\x00\x01kdive reads pages; \x20dH\x00\x00\x16\x00\x01\x02\x03\x04\x05\x06\
            \x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\
            \x1d\x1e\x1f\x20\x21\x22\x23\x24\x25\x26\x27\x2a\xcd\x02\x00\x20\x33\x00\x00\x0c\x00\x00\
            \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x11\x00\x00";
        let mut expected = b"kdive reads pages; ".repeat(8);
        expected.extend(0..40);
        expected.extend(b"pages; kdive");
        expected.extend([0; 100]);
        assert_eq!(decode(encoded, 4096), Ok(expected));
    }

    #[test]
    fn decodes_each_instruction() {
        const END: [u8; 3] = [0x11, 0, 0];
        let with_end = |bytes: &[u8]| [bytes, &END].concat();
        // First bytes above 17 are literals; after few of them a short instruction is a match of
        // two bytes, after many one of three bytes that is far away.
        let few = with_end(&[17 + 3, b'a', b'b', b'c', 0b0100, 0]);
        assert_eq!(decode(&few, 99).unwrap(), b"abcbc");
        let near = with_end(&[
            17 + 5,
            b'a',
            b'b',
            b'c',
            b'd',
            b'e',
            0x40 | 0x20 | 0b1000 | 1,
            0,
            b'X',
        ]);
        assert_eq!(decode(&near, 99).unwrap(), b"abcdecdecX");
        let longer = with_end(&[17 + 4, b'a', b'b', b'c', b'd', 0x80 | 0x60 | 0b1100, 0]);
        assert_eq!(decode(&longer, 99).unwrap(), b"abcdabcdabcd");
        let mut far = vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 55];
        far.extend((0..2113_u32).map(|index| (index * index / 7) as u8));
        let plain = far[10..].to_vec();
        assert_eq!(plain.len(), 15 + 3 + 255 * 8 + 55);
        far.extend([0b0001, 1, b'Z']);
        let at = plain.len() - (2049 + 4);
        let expected = [&plain, &plain[at..at + 3], b"Z"].concat();
        assert_eq!(decode(&with_end(&far), 9999).unwrap(), expected);
    }

    #[test]
    fn refuses_distances_and_lengths_out_of_bounds() {
        assert_eq!(decode(&[], 10), Err(Damaged));
        assert_eq!(decode(&[18, b'a', 0x40, 0xff], 10), Err(Damaged));
        assert_eq!(decode(&[17 + 9, b'a'], 100), Err(Damaged));
        assert_eq!(
            decode(&[17 + 4, b'a', b'b', b'c', b'd', 0xe0, 0], 5),
            Err(Damaged)
        );
        assert_eq!(decode(&[0; 5000], 4096), Err(Damaged));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&bytes, 4096);
        }
    }
}
