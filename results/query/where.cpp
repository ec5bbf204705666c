#include "results/query/where.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>

#include "core/base/overloaded.hpp"
#include "core/base/text.hpp"

namespace gauntlet::results {
namespace {

constexpr std::array kCellColumns = {
    WhereColumn{"dataset"},   WhereColumn{"model"},   WhereColumn{"bits", true},
    WhereColumn{"defense"},   WhereColumn{"attack"},  WhereColumn{"protocol"},
    WhereColumn{"direction"}, WhereColumn{"variant"}, WhereColumn{"seed", true}};

/// Words that people use for causes, beside the stored names.
constexpr std::array<std::pair<std::string_view, ErrorCode>, 8> kCauseWords = {{
    {"oom", ErrorCode::kOutOfMemory},
    {"nan", ErrorCode::kDiverged},
    {"timeout", ErrorCode::kTimedOut},
    {"nccl", ErrorCode::kCollective},
    {"gloo", ErrorCode::kCollective},
    {"killed", ErrorCode::kProcessDied},
    {"crashed", ErrorCode::kProcessDied},
    {"disk_full", ErrorCode::kNoSpace},
}};
constexpr int kMaxCode = 255;

Result<std::string> stored_cause(std::string_view value) {
  std::vector<std::string> known;
  for (const auto& [word, code] : kCauseWords) {
    if (word == value) return std::string(name_of(code));
  }
  for (int code = 1; code <= kMaxCode; ++code) {
    const std::string_view name = name_of(static_cast<ErrorCode>(code));
    if (name == "unknown") continue;
    if (name == value) return std::string(name);
    known.emplace_back(name);
  }
  for (const auto& [word, code] : kCauseWords) known.emplace_back(word);
  return fail(ErrorCode::kInvalid, "{}", unknown_name_message("cause", value, known));
}

constexpr WhereColumn kCause{
    "cause", false, "coalesce((SELECT o.name FROM outcomes o WHERE o.code = j.code), '')", &stored_cause};
constexpr WhereColumn kKind{
    "kind", false,
    "(SELECT k.name FROM job_kinds k JOIN job_shapes h ON h.kind = k.kind WHERE h.shape_id = j.shape_id)"};

constexpr std::array kJobColumns = {kCellColumns[0],
                                    kCellColumns[1],
                                    kCellColumns[2],
                                    kCellColumns[3],
                                    kCellColumns[4],
                                    kCellColumns[5],
                                    kCellColumns[6],
                                    kCellColumns[7],
                                    kCellColumns[8],
                                    kCause,
                                    kKind};
static_assert(kJobColumns.size() == kCellColumns.size() + 2);

constexpr std::array kResultColumns = {
    WhereColumn{"sweep"},      WhereColumn{"dataset"},       WhereColumn{"model"},
    WhereColumn{"bits", true}, WhereColumn{"defense"},       WhereColumn{"attack"},
    WhereColumn{"protocol"},   WhereColumn{"direction"},     WhereColumn{"variant"},
    WhereColumn{"seed", true}, WhereColumn{"metric"},        WhereColumn{"value", true},
    WhereColumn{"n", true},    WhereColumn{"unit"},          WhereColumn{"higher_is_better", true},
    WhereColumn{"job_key"},    WhereColumn{"attempt", true}, WhereColumn{"created_at"},
    WhereColumn{"revision"},   WhereColumn{"versions"},      WhereColumn{"device"}};

constexpr int kMaxDepth = 100;

enum class TokenKind : std::uint8_t { kWord, kQuoted, kOperator, kOpen, kClose, kComma, kEnd };

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;
  std::size_t place = 0;  // characters from 1
};

bool is_word_letter(char letter) {
  const auto code = static_cast<unsigned char>(letter);
  return std::isalnum(code) != 0 || code >= 0x80 ||
         std::string_view("_-+./@:%*").find(letter) != std::string_view::npos;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return text;
}

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  Result<Token> next() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
    const std::size_t place = at_ + 1;
    if (at_ == text_.size()) return Token{TokenKind::kEnd, "", place};
    const char letter = text_[at_];
    if (letter == '\'' || letter == '"') return quoted(letter, place);
    if (letter == '(' || letter == ')' || letter == ',') {
      ++at_;
      const TokenKind kind = letter == '('   ? TokenKind::kOpen
                             : letter == ')' ? TokenKind::kClose
                                             : TokenKind::kComma;
      return Token{kind, std::string(1, letter), place};
    }
    for (const std::string_view symbol : {"==", "!=", "<>", "<=", ">=", "=", "<", ">"}) {
      if (!text_.substr(at_).starts_with(symbol)) continue;
      at_ += symbol.size();
      return Token{TokenKind::kOperator, std::string(symbol), place};
    }
    const std::size_t start = at_;
    while (at_ < text_.size() && is_word_letter(text_[at_])) ++at_;
    if (at_ > start) return Token{TokenKind::kWord, std::string(text_.substr(start, at_ - start)), place};
    return fail(ErrorCode::kInvalid, "'{}': character {} is '{}', which no condition has", text_, place,
                letter);
  }

 private:
  Result<Token> quoted(char quote, std::size_t place) {
    std::string value;
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] != quote) {
        value += text_[at_];
      } else if (at_ + 1 < text_.size() && text_[at_ + 1] == quote) {
        value += text_[++at_];
      } else {
        ++at_;
        return Token{TokenKind::kQuoted, std::move(value), place};
      }
    }
    return fail(ErrorCode::kInvalid, "'{}': the quote at character {} is never closed", text_, place);
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

// expression := term ("or" term)*; term := factor ("and" factor)*;
// factor := "not" factor | "(" expression ")" | comparison
class Parser {
 public:
  Parser(std::string_view text, std::span<const WhereColumn> columns)
      : text_(text), columns_(columns), lexer_(text) {}

  Result<Where> parse() {
    GAUNTLET_CHECK_OK(advance());
    GAUNTLET_CHECK_OK(expression(0));
    if (token_.kind != TokenKind::kEnd) return expected("'and', 'or' or the end");
    return std::move(where_);
  }

 private:
  Status expression(int depth) {
    if (depth > kMaxDepth)
      return fail(ErrorCode::kInvalid, "a condition nests more than {} levels", kMaxDepth);
    GAUNTLET_CHECK_OK(term(depth));
    while (is_keyword("or")) {
      where_.sql += " OR ";
      GAUNTLET_CHECK_OK(advance());
      GAUNTLET_CHECK_OK(term(depth));
    }
    return {};
  }

  Status term(int depth) {
    GAUNTLET_CHECK_OK(factor(depth));
    while (is_keyword("and")) {
      where_.sql += " AND ";
      GAUNTLET_CHECK_OK(advance());
      GAUNTLET_CHECK_OK(factor(depth));
    }
    return {};
  }

  Status factor(int depth) {
    if (depth > kMaxDepth)
      return fail(ErrorCode::kInvalid, "a condition nests more than {} levels", kMaxDepth);
    if (is_keyword("not")) {
      where_.sql += "NOT ";
      GAUNTLET_CHECK_OK(advance());
      return factor(depth + 1);
    }
    if (token_.kind != TokenKind::kOpen) return comparison();
    where_.sql += "(";
    GAUNTLET_CHECK_OK(advance());
    GAUNTLET_CHECK_OK(expression(depth + 1));
    if (token_.kind != TokenKind::kClose) return expected("')'");
    where_.sql += ")";
    return advance();
  }

  Status comparison() {
    if (token_.kind != TokenKind::kWord) return expected("a column");
    const std::string name = lower(token_.text);
    const auto column =
        std::find_if(columns_.begin(), columns_.end(), [&](const WhereColumn& c) { return c.name == name; });
    if (column == columns_.end()) return unknown_column(name);
    where_.sql += column->sql.empty() ? column->name : column->sql;
    where_.names_job = where_.names_job || !column->sql.empty();
    GAUNTLET_CHECK_OK(advance());
    if (is_keyword("in")) return in_list(*column);
    WhereColumn compared = *column;
    if (is_keyword("like")) {
      where_.sql += " LIKE ";
      compared.stored = nullptr;  // a pattern is no name
    } else if (token_.kind == TokenKind::kOperator) {
      where_.sql += token_.text == "==" ? "=" : token_.text == "!=" ? "<>" : token_.text;
    } else {
      return expected("one of = != < <= > >= in like");
    }
    GAUNTLET_CHECK_OK(advance());
    return value(compared);
  }

  Status in_list(const WhereColumn& column) {
    where_.sql += " IN (";
    GAUNTLET_CHECK_OK(advance());
    if (token_.kind != TokenKind::kOpen) return expected("'(' after in");
    do {
      if (token_.kind == TokenKind::kComma) where_.sql += ",";
      GAUNTLET_CHECK_OK(advance());
      GAUNTLET_CHECK_OK(value(column));
    } while (token_.kind == TokenKind::kComma);
    if (token_.kind != TokenKind::kClose) return expected("',' or ')'");
    where_.sql += ")";
    return advance();
  }

  Status value(const WhereColumn& column) {
    if (token_.kind != TokenKind::kWord && token_.kind != TokenKind::kQuoted) return expected("a value");
    where_.sql += "?";
    if (column.number) {
      const Result<double> number = parse_real(token_.text);
      if (!number) {
        return fail(ErrorCode::kInvalid, "'{}': {} is a number, but character {} says '{}'", text_,
                    column.name, token_.place, token_.text);
      }
      where_.values.emplace_back(*number);
    } else if (column.stored != nullptr) {
      Result<std::string> stored = column.stored(token_.text);
      if (!stored) {
        return fail(ErrorCode::kInvalid, "'{}': character {}: {}", text_, token_.place,
                    stored.error().message);
      }
      where_.values.emplace_back(std::move(*stored));
    } else {
      where_.values.emplace_back(token_.text);
    }
    return advance();
  }

  Status unknown_column(const std::string& name) const {
    std::vector<std::string> known;
    for (const WhereColumn& column : columns_) known.emplace_back(column.name);
    return fail(ErrorCode::kInvalid, "'{}': character {}: {}", text_, token_.place,
                unknown_name_message("column", name, known));
  }

  Status advance() {
    GAUNTLET_TRY(token_, lexer_.next());
    return {};
  }

  bool is_keyword(std::string_view word) const {
    return token_.kind == TokenKind::kWord && lower(token_.text) == word;
  }

  tl::unexpected<Error> expected(std::string_view what) const {
    if (token_.kind == TokenKind::kEnd) {
      return fail(ErrorCode::kInvalid, "'{}': {} is missing at the end", text_, what);
    }
    return fail(ErrorCode::kInvalid, "'{}': character {} must be {}, not '{}'", text_, token_.place, what,
                token_.text);
  }

  std::string_view text_;
  std::span<const WhereColumn> columns_;
  Lexer lexer_;
  Token token_;
  Where where_;
};

}  // namespace

std::span<const WhereColumn> cell_columns() { return kCellColumns; }
std::span<const WhereColumn> job_columns() { return kJobColumns; }
std::span<const WhereColumn> result_columns() { return kResultColumns; }

Result<Where> parse_where(std::string_view text, std::span<const WhereColumn> columns) {
  return Parser(text, columns).parse();
}

Status bind_where(db::Statement& statement, const Where& where) {
  statement.reset();
  int index = 0;
  for (const auto& value : where.values) {
    ++index;
    GAUNTLET_CHECK_OK(std::visit([&](const auto& v) { return statement.bind_at(index, v); }, value));
  }
  return {};
}

}  // namespace gauntlet::results
