// Leaderboard files: robustness numbers of several laboratories in one JSON document, each under the threat
// model it was measured in. docs/board.md describes the file, schemas/board.schema.json is its shape.
//
// Whatever a person could type to look better is derived instead: status, best known value, rank. It is
// written for readers, dropped when a file is read, and worked out again from what was measured.
// Thread safety: plain values, pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/result.hpp"

namespace gauntlet::results {

inline constexpr int kBoardFormat = 1;

/// First 16 hexadecimal digits of the SHA-256 of the canonical text: what names threat models, entries,
/// evaluations and retractions.
[[nodiscard]] Result<std::string> short_hash(const Json& value);

/// A file's content without what is derived:
///   {"format": 1, "boards": {<threat model id>: {"threat_model", "entries": {<key>: {…, "runs": {<weights
///   hash>: …}, "evaluations": {<hash>: …}}}, "retractions": {<hash>: …}}}, "also": […]}
class Board {
 public:
  Board();

  /// Reads and checks a file. Errors (kInvalid): the place as a JSON pointer, the value, what is allowed:
  /// another format, an id that is not the hash of its content (something was edited), a number that is not
  /// finite or not the mean of its values per query, an evaluation of weights that are not listed.
  [[nodiscard]] static Result<Board> read(std::string_view text, std::string_view source);

  /// Adds a measured number; the threat model, the entry and the run come with it where they are new, and
  /// fields of an entry that is there are merged. Errors (kInvalid): those of `read`.
  struct Addition {
    Json threat_model;  ///< without "id"
    Json entry;         ///< "defense" {name, version, config} and what is known of it
    std::string weights_hash;
    Json run;         ///< "seed", hashes of the weights' files
    Json evaluation;  ///< without "weights_hash"
  };
  [[nodiscard]] Status add(const Addition& addition);

  /// Hides an evaluation of any board, named by its hash or the beginning of it. Errors: kNotFound; kInvalid
  /// for a beginning of several, or no reason.
  [[nodiscard]] Status retract(const std::string& evaluation, const std::string& reason,
                               const std::string& by);

  /// Everything of both files; commutative, associative and idempotent. Fields that no version knows are
  /// kept. Where both say something else of the same field, the one that sorts first stands there and all
  /// others are listed under "also".
  void merge(const Board& other);

  /// The canonical text, with what is derived, and a line break: equal boards give equal bytes.
  [[nodiscard]] Result<std::string> text() const;

  [[nodiscard]] const Json& document() const { return document_; }

 private:
  explicit Board(Json document) : document_(std::move(document)) {}
  Json document_;
};

/// The union of two documents, as Board::merge makes it, over any JSON objects.
[[nodiscard]] Json merged_documents(const Json& one, const Json& other);

/// One line per field of which several values are known: "…/title: 'A', also 'B'".
[[nodiscard]] std::vector<std::string> differences_of(const Board& board);

}  // namespace gauntlet::results
