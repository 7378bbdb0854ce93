//! One pick: which blocks to ask of one peer now, in the order of preference. A part of the [`Picker`].

use rand::RngExt;

use super::open::{OpenPiece, Source};
use super::requests::{Request, Slot};
use super::search::{Search, Way};
use super::{Ask, Pace, Picker, PieceOrder};
use crate::geometry::Block;

/// Pieces that must be here before the rarest come first: until then any piece will do, to have one to trade.
const RANDOM_FIRST: u32 = 4;
/// Blocks that may be held of pieces that are not whole or not verified: 128 MiB, a tenth of a second at 10 Gbit/s.
/// Two pieces if they are longer. Beyond it no piece is opened.
const MAX_STORED: u32 = 8 * 1024;
/// Open pieces that are looked at before a new one is opened.
const MAX_OPEN_SCAN: usize = 512;
/// Blocks that are looked at for one busy block of the end-game.
const MAX_BUSY_SCAN: u32 = 32 * 1024;

/// What one pick has given so far.
struct Turn<'a> {
    ask: Ask<'a>,
    slot: Slot,
    out: &'a mut Vec<Block>,
    start: usize,
}

impl Turn<'_> {
    /// How many more blocks the peer may be asked for.
    fn room(&self) -> usize {
        self.ask.count - self.given()
    }

    fn given(&self) -> usize {
        self.out.len() - self.start
    }
}

impl Picker {
    /// Chooses up to `ask.count` blocks to ask of a peer now and adds them to `out`. Each is the peer's to deliver
    /// until [`received`](Self::received), [`release`](Self::release) or [`forget_peer`](Self::forget_peer) ends it.
    pub fn pick(&mut self, ask: Ask<'_>, out: &mut Vec<Block>) {
        if ask.count == 0 || self.wanted.is_empty() {
            return;
        }
        let Some(slot) = self.requests.seat(ask.peer) else { return };
        let mut turn = Turn { ask, slot, start: out.len(), out };
        self.pick_listed(ask.preferred, &mut turn);
        if let Some(only) = ask.only {
            self.pick_listed(only, &mut turn);
            return;
        }
        self.pick_sole(&mut turn);
        self.pick_open(&mut turn, false);
        self.pick_new(&mut turn);
        if turn.given() == 0 {
            self.pick_remaining(&mut turn);
        }
        // Where memory allows no other piece to begin, those that are must end.
        if self.requests.len(slot) == 0 && (self.is_endgame() || !self.may_open()) {
            self.pick_busy(&mut turn);
        }
    }

    /// Whether every block that is wanted is here or on its way.
    pub fn is_endgame(&self) -> bool {
        !self.is_complete() && !self.open.has_free() && self.buckets.is_empty()
    }

    /// Blocks of the named pieces, open or not.
    fn pick_listed(&mut self, pieces: &[u32], turn: &mut Turn<'_>) {
        let is_allowed = |piece: u32| turn.ask.only.is_none_or(|only| only.contains(&piece));
        let allowed: Vec<u32> = pieces.iter().copied().filter(|piece| is_allowed(*piece)).collect();
        for piece in allowed {
            if turn.room() == 0 {
                return;
            }
            if !turn.ask.pieces.contains(piece) || !self.wants(piece) {
                continue;
            }
            if self.open.get(piece).is_some_and(|open| open.admits(turn.slot)) {
                self.take(piece, turn);
            } else if self.buckets.contains(piece) && self.may_open() {
                self.open_piece(piece, turn.ask.pace);
                self.take(piece, turn);
            }
        }
    }

    /// What nobody else can give, be it begun or new: others would finish the pieces that are begun, but only this
    /// peer can bring more into the swarm. A lone seed whose leechers had it finish pieces of each other would send
    /// half as much again before everything has left it once.
    fn pick_sole(&mut self, turn: &mut Turn<'_>) {
        let is_first = self.have.len() < RANDOM_FIRST;
        if self.order != PieceOrder::RarestFirst || turn.ask.pace == Pace::Slow || is_first {
            return;
        }
        self.pick_open(turn, true);
        let begun = self.open.partial().next().map(|(piece, _)| self.buckets.priority(piece));
        let mut search = Search::new(turn.ask.pieces, Way::Rarest);
        while turn.room() > 0
            && self.buckets.has_sole()
            && self.may_open()
            && let Some(piece) = search.next(&self.buckets, &mut self.rng)
            && self.buckets.availability(piece) == 1
            && begun.is_none_or(|begun| self.buckets.priority(piece) >= begun)
        {
            self.open_piece(piece, turn.ask.pace);
            self.take(piece, turn);
        }
    }

    /// Free blocks of open pieces, or of those that nobody else has. Slow peers stay among themselves: a fast one
    /// would have to wait for them.
    fn pick_open(&mut self, turn: &mut Turn<'_>, is_sole: bool) {
        let (ask, slot) = (turn.ask, turn.slot);
        let is_fit =
            |open: &OpenPiece| open.admits(slot) && (ask.pace == Pace::Fast || open.pace == Pace::Slow);
        let is_rare = |piece: u32| !is_sole || self.buckets.availability(piece) == 1;
        let mut room = turn.room();
        let pieces: Vec<u32> = (self.open.partial().take(MAX_OPEN_SCAN))
            .filter(|(piece, open)| is_fit(open) && is_rare(*piece) && ask.pieces.contains(*piece))
            .take_while(|(_, open)| {
                let is_needed = room > 0;
                room = room.saturating_sub(open.blocks.free() as usize);
                is_needed
            })
            .map(|(piece, _)| piece)
            .collect();
        pieces.into_iter().for_each(|piece| self.take(piece, turn));
    }

    /// Blocks of pieces that nobody was asked for yet.
    fn pick_new(&mut self, turn: &mut Turn<'_>) {
        let way = match (self.order, turn.ask.pace) {
            (PieceOrder::Sequential, _) => Way::Lowest,
            (PieceOrder::RarestFirst, _) if self.have.len() < RANDOM_FIRST => Way::Random,
            (PieceOrder::RarestFirst, Pace::Fast) => Way::Rarest,
            (PieceOrder::RarestFirst, Pace::Slow) => Way::Commonest,
        };
        let mut search = Search::new(turn.ask.pieces, way);
        while turn.room() > 0
            && self.may_open()
            && let Some(piece) = search.next(&self.buckets, &mut self.rng)
        {
            self.open_piece(piece, turn.ask.pace);
            self.take(piece, turn);
        }
    }

    /// What is left for a peer that would get nothing: any open piece, that of a faster peer, or one that is kept
    /// for a peer that is not asked for any of it.
    fn pick_remaining(&mut self, turn: &mut Turn<'_>) {
        let (pieces, slot) = (turn.ask.pieces, turn.slot);
        let found = self
            .open
            .partial()
            .find(|(piece, open)| pieces.contains(*piece) && (open.admits(slot) || open.blocks.busy() == 0));
        if let Some((piece, _)) = found {
            self.take(piece, turn);
        }
    }

    /// The end-game: one block that others are asked for, as few of them as possible.
    fn pick_busy(&mut self, turn: &mut Turn<'_>) {
        let middle = self.rng.random_range(0..self.geometry.piece_count());
        let (mut best, mut budget) = (None, MAX_BUSY_SCAN);
        for (piece, open) in self.open.range(middle..).chain(self.open.range(..middle)) {
            if open.blocks.busy() == 0 || !turn.ask.pieces.contains(piece) || !self.wants(piece) {
                continue;
            }
            if let Some((holders, index)) = open.blocks.least_held(turn.slot)
                && best.is_none_or(|(fewest, _)| holders < fewest)
            {
                best = Some((holders, Request { piece, index }));
            }
            budget = budget.saturating_sub(open.blocks.count());
            if budget == 0 || best.is_some_and(|(fewest, _)| fewest == 1) {
                break;
            }
        }
        if let Some((_, request)) = best
            && let Some(open) = self.open.get_mut(request.piece)
        {
            open.blocks.add_rival(request.index, turn.slot);
            self.requests.add(turn.slot, request);
            turn.out.push(self.block(request));
        }
    }

    /// Whether memory allows to begin another piece.
    fn may_open(&self) -> bool {
        self.open.stored() < MAX_STORED.max(2 * self.block_count(0))
    }

    /// Takes `piece` off its shelf and opens it.
    fn open_piece(&mut self, piece: u32, pace: Pace) {
        let source = if self.failed.contains(&piece) { Source::NextOne } else { Source::Anyone };
        self.buckets.remove(piece);
        self.open.open(piece, self.block_count(piece), source, pace);
    }

    /// Gives free blocks of the open `piece` while there is room.
    fn take(&mut self, piece: u32, turn: &mut Turn<'_>) {
        let Some(open) = self.open.get_mut(piece) else { return };
        let mut indices = Vec::new();
        while indices.len() < turn.room()
            && let Some(index) = open.blocks.take_free(turn.slot)
        {
            indices.push(index);
        }
        if turn.ask.pace == Pace::Fast {
            open.pace = Pace::Fast;
        }
        if open.source != Source::Anyone {
            open.source = Source::Only(turn.slot);
        }
        for index in indices {
            let request = Request { piece, index };
            self.requests.add(turn.slot, request);
            turn.out.push(self.block(request));
        }
        self.open.update(piece, self.buckets.priority(piece));
    }
}
