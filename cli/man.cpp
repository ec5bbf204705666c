// gauntlet man: the manual page, from the same definitions as --help.
#include "cli/support/exit_codes.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "core/base/version.hpp"

namespace gauntlet::cli {
namespace {

/// The character that starts at `at`, which moves behind it; text of ours is UTF-8.
char32_t next_character(std::string_view text, std::size_t& at) {
  const auto first = static_cast<unsigned char>(text[at++]);
  const int n_more = first < 0xC0 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
  char32_t character = n_more == 0 ? first : first & (0x3FU >> n_more);
  for (int more = 0; more < n_more && at < text.size(); ++more)
    character = character << 6U | (static_cast<unsigned char>(text[at++]) & 0x3FU);
  return character;
}

/// Text for troff: no escape, no request, no hyphen where a minus is meant, ASCII only.
std::string roff(std::string_view text) {
  std::string escaped;
  bool line_starts = true;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t character = next_character(text, at);
    if (character >= 0x80) {
      escaped += fmt::format("\\[u{:04X}]", static_cast<std::uint32_t>(character));
      continue;
    }
    const char letter = static_cast<char>(character);
    if (line_starts && (letter == '.' || letter == '\'')) escaped += "\\&";
    line_starts = letter == '\n';
    switch (letter) {
      case '\\':
        escaped += "\\(rs";
        break;
      case '-':
        escaped += "\\-";
        break;
      case '~':
        escaped += "\\(ti";
        break;
      case '^':
        escaped += "\\(ha";
        break;
      case '`':
        escaped += "\\(ga";
        break;
      case '\'':
        escaped += "\\(aq";
        break;
      case '"':
        escaped += "\\(dq";
        break;
      default:
        escaped += letter;
    }
  }
  return escaped;
}

std::string unindented(std::string_view examples) {
  std::string text;
  while (!examples.empty()) {
    const std::string_view line = examples.substr(0, examples.find('\n'));
    examples.remove_prefix(std::min(examples.size(), line.size() + 1));
    text += roff(line.substr(std::min(line.find_first_not_of(' '), line.size()))) + "\n";
  }
  return text;
}

/// Lines as they are, in a fixed width.
std::string example(const std::string& lines) { return ".PP\n.nf\n.RS 4\n" + lines + ".RE\n.fi\n"; }

std::string argument_text(const Argument& argument) {
  const std::string type = argument.type_name();
  std::string head = argument.names();
  if (argument.is_place()) {
    head = type.empty() || type == "TEXT" ? argument.name() : type;
  } else if (argument.takes_value() && !type.empty()) {
    head += " " + type;
  }
  return fmt::format(".TP\n\\fB{}\\fR\n{}\n", roff(head), roff(argument.help()));
}

std::string verb_text(const Verb& verb) {
  Arguments arguments(fmt::format("gauntlet {}", verb.name));
  const Action unused = verb.declare(arguments);
  std::string text = fmt::format(".SS \"gauntlet {}\"\n{}.\n", verb.name, roff(verb.summary));
  text += example(unindented(verb.examples));
  for (const Argument& argument : arguments.all()) {
    if (!argument.is_hidden()) text += argument_text(argument);
  }
  return text;
}

std::string page() {
  std::string text = fmt::format(
      ".TH GAUNTLET 1 \"\" \"gauntlet {}\" \"User Commands\"\n.ad l\n.SH NAME\ngauntlet \\- "
      "adversarial\\-robustness "
      "benchmarks of cross\\-modal hashing\n.SH SYNOPSIS\n.B gauntlet\n.I command\n[\\fIoption\\fR ...]\n",
      roff(version()));
  text +=
      ".SH DESCRIPTION\nTakes a sweep file, works out the smallest graph of jobs that answers it, runs them "
      "on any "
      "number of\nworkers, keeps every number with its provenance in SQLite, and makes tables of them.\n";
  text += ".SH COMMANDS\n";
  for (const Verb* verb : verbs()) {
    if (!verb->hidden) text += verb_text(*verb);
  }
  text += ".SH \"EXIT STATUS\"\n";
  for (const ExitCode& code : kExitCodes)
    text += fmt::format(".TP\n\\fB{}\\fR\n{}\n", code.number, roff(code.meaning));
  text +=
      ".SH ENVIRONMENT\n.TP\n\\fBGAUNTLET_WORKDIR\\fR\nThe work folder where \\-\\-workdir is not given.\n"
      ".TP\n\\fBGAUNTLET_TLS_FINGERPRINT\\fR, \\fBGAUNTLET_TLS_CA\\fR\nBy what a coordinator is known.\n"
      ".TP\n\\fBNO_COLOR\\fR\nNo bold and underlined text on terminals.\n";
  text +=
      ".SH FILES\n.TP\n\\fIgauntlet\\-runs/gauntlet.db\\fR\nThe database of a work folder; its views are "
      "documented "
      "in docs/database.md.\n.TP\n\\fIgauntlet\\-runs/token\\fR\nWhat a coordinator asks of every "
      "connection.\n";
  return text;
}

Action declare(Arguments&) {
  return []() -> Result<int> {
    GAUNTLET_CHECK_OK(print(page()));
    return 0;
  };
}

}  // namespace

extern const Verb man_verb;
constinit const Verb man_verb{
    .name = "man",
    .summary = "Print the manual page (cmake --install puts it where man finds it)",
    .examples = "  gauntlet man | man -l -\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
