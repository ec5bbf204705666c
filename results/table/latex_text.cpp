#include "results/table/latex_text.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <utility>

#include "results/query/text_table.hpp"

namespace gauntlet::results {
namespace {

constexpr std::uint32_t kReplacement = 0xFFFD;
constexpr std::uint32_t kLastKnown = 0x17F;  // Latin Extended-A

constexpr std::array kSigns = {
    std::pair<std::uint32_t, std::string_view>{'\\', "\\textbackslash{}"},
    std::pair<std::uint32_t, std::string_view>{'{', "\\{"},
    std::pair<std::uint32_t, std::string_view>{'}', "\\}"},
    std::pair<std::uint32_t, std::string_view>{'$', "\\$"},
    std::pair<std::uint32_t, std::string_view>{'&', "\\&"},
    std::pair<std::uint32_t, std::string_view>{'#', "\\#"},
    std::pair<std::uint32_t, std::string_view>{'%', "\\%"},
    std::pair<std::uint32_t, std::string_view>{'_', "\\_"},
    std::pair<std::uint32_t, std::string_view>{'^', "\\textasciicircum{}"},
    std::pair<std::uint32_t, std::string_view>{'~', "\\textasciitilde{}"},
    std::pair<std::uint32_t, std::string_view>{'<', "\\textless{}"},
    std::pair<std::uint32_t, std::string_view>{'>', "\\textgreater{}"},
    std::pair<std::uint32_t, std::string_view>{'|', "\\textbar{}"},
    std::pair<std::uint32_t, std::string_view>{'"', "''"},
    std::pair<std::uint32_t, std::string_view>{'\'', "\\textquotesingle{}"},
    std::pair<std::uint32_t, std::string_view>{'`', "\\textasciigrave{}"},
    // A bracket after a line's end would be read as that command's option.
    std::pair<std::uint32_t, std::string_view>{'[', "{[}"},
    std::pair<std::uint32_t, std::string_view>{']', "{]}"},
    std::pair<std::uint32_t, std::string_view>{'*', "{*}"},
    std::pair<std::uint32_t, std::string_view>{0xB1, "$\\pm$"},
    std::pair<std::uint32_t, std::string_view>{0xD7, "$\\times$"},
    std::pair<std::uint32_t, std::string_view>{0x394, "$\\Delta$"},
    std::pair<std::uint32_t, std::string_view>{0x3B5, "$\\varepsilon$"},
    std::pair<std::uint32_t, std::string_view>{0x2013, "--"},
    std::pair<std::uint32_t, std::string_view>{0x2014, "---"},
    std::pair<std::uint32_t, std::string_view>{0x2020, "$^{\\dagger}$"},
    std::pair<std::uint32_t, std::string_view>{0x2026, "\\ldots{}"},
    std::pair<std::uint32_t, std::string_view>{0x2190, "$\\leftarrow$"},
    std::pair<std::uint32_t, std::string_view>{0x2192, "$\\rightarrow$"},
    std::pair<std::uint32_t, std::string_view>{0x221E, "$\\infty$"},
    std::pair<std::uint32_t, std::string_view>{0x2264, "$\\le$"},
    std::pair<std::uint32_t, std::string_view>{0x2265, "$\\ge$"},
    std::pair<std::uint32_t, std::string_view>{0x2713, "$\\surd$"},
    std::pair<std::uint32_t, std::string_view>{0x2717, "$\\times$"},
};

// The code point at the front of `text` and how many bytes it takes; kReplacement and 1 for a broken one.
std::pair<std::uint32_t, std::size_t> code_point(std::string_view text) {
  const auto first = static_cast<unsigned char>(text.front());
  if (first < 0x80) return {first, 1};
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 0;
  if (length == 0 || text.size() < length) return {kReplacement, 1};
  std::uint32_t code = first & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xC0U) != 0x80U) return {kReplacement, 1};
    code = (code << 6U) | (next & 0x3FU);
  }
  return {code, length};
}

}  // namespace

std::string latex_text(std::string_view text) {
  const std::string shown = printable(text);
  std::string latex;
  for (std::string_view rest = shown; !rest.empty();) {
    const auto [code, length] = code_point(rest);
    std::string_view sign;
    for (const auto& [known, command] : kSigns) {
      if (known == code) sign = command;
    }
    if (!sign.empty()) {
      latex += sign;
    } else if (code <= kLastKnown) {
      latex += rest.substr(0, length);
    } else {
      latex += fmt::format("U+{:04X}", code);
    }
    rest.remove_prefix(length);
  }
  return latex;
}

}  // namespace gauntlet::results
