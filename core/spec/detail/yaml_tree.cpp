#include "core/spec/detail/yaml_tree.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <istream>
#include <optional>
#include <streambuf>

namespace gauntlet::spec::detail {
namespace {

Place place_of(const YAML::Mark& mark) { return {mark.line + 1, mark.column + 1}; }

/// Builds the tree from the parser's events. An event that breaks a limit throws the parser's own exception,
/// which ends the reading at that place.
class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(YamlTree& tree) : tree_(tree) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (n_documents_++ > 0)
      throw YAML::ParserException(mark, "a sweep file holds one YAML document; this is a second one");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(mark, anchor, YamlNode::Kind::kNull);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end())
      throw YAML::ParserException(mark, "this alias stands inside what it stands for");
    attach(*found->second, mark);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    const bool is_text = tag == "!" || tag == "tag:yaml.org,2002:str";
    if (!is_text) refuse_tag(mark, tag);
    YamlNode& node = make(mark, YamlNode::Kind::kScalar);
    node.quoted = is_text;
    node.text = value;
    remember(anchor, node);
    attach(node, mark);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, YamlNode::Kind::kSequence);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, YamlNode::Kind::kMap);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    YamlNode* node;
    YAML::Mark mark;
    YAML::anchor_t anchor;
    const YamlNode* key = nullptr;  ///< of a map, when its value comes next
  };

  static void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
    if (!tag.empty() && tag != "?" && tag != "!") {
      throw YAML::ParserException(mark, fmt::format("the tag '{}' means nothing here; leave it out", tag));
    }
  }

  YamlNode& make(const YAML::Mark& mark, YamlNode::Kind kind) {
    YamlNode& node = tree_.nodes.emplace_back();
    node.kind = kind;
    node.place = place_of(mark);
    return node;
  }

  void remember(YAML::anchor_t anchor, const YamlNode& node) {
    if (anchor != 0) anchors_[anchor] = &node;
  }

  void add(const YAML::Mark& mark, YAML::anchor_t anchor, YamlNode::Kind kind) {
    YamlNode& node = make(mark, kind);
    remember(anchor, node);
    attach(node, mark);
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YamlNode::Kind kind) {
    refuse_tag(mark, tag);
    open_.push_back({&make(mark, kind), mark, anchor});
  }

  void close() {
    const Open done = open_.back();
    open_.pop_back();
    keys_.erase(done.node);
    remember(done.anchor, *done.node);
    attach(*done.node, done.mark);
  }

  /// Hangs a finished value into what is open.
  void attach(const YamlNode& node, const YAML::Mark& mark) {
    if (open_.empty()) {
      tree_.root = &node;
      return;
    }
    Open& parent = open_.back();
    parent.node->weight += node.weight;
    if (tree_.nodes.size() > kMaxYamlNodes || parent.node->weight > kMaxYamlNodes) {
      throw YAML::ParserException(
          mark,
          fmt::format(
              "more than {} values, aliases counted as what they stand for; a sweep file may hold that many",
              kMaxYamlNodes));
    }
    if (parent.node->is_sequence()) {
      parent.node->items.push_back(&node);
    } else if (parent.key == nullptr) {
      if (!node.is_scalar()) throw YAML::ParserException(mark, "a key must be a plain text");
      parent.key = &node;
    } else {
      add_member(*parent.node, *parent.key, node);
      parent.key = nullptr;
    }
  }

  void add_member(YamlNode& map, const YamlNode& key, const YamlNode& value) {
    Keys& keys = keys_[&map];
    const auto [first, is_new] = keys.emplace(key.text, key.place);
    if (is_new) {
      map.members.push_back({&key, &value});
      return;
    }
    tree_.problems.push_back(
        {key.place.line, key.place.column,
         fmt::format("key '{}' is already on line {}; keep one", key.text, first->second.line)});
  }

  using Keys = std::unordered_map<std::string_view, Place>;

  YamlTree& tree_;
  std::vector<Open> open_;
  std::unordered_map<YAML::anchor_t, const YamlNode*> anchors_;
  std::unordered_map<const YamlNode*, Keys> keys_;
  int n_documents_ = 0;
};

/// A stream over bytes that stay where they are.
class ViewBuffer : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());  // never written: the buffer has no put area
    setg(begin, begin, begin + text.size());
  }
};

/// Length of the well-formed UTF-8 sequence at `at` (no overlong forms, surrogates or values above U+10FFFF),
/// 0 if none.
std::size_t utf8_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t offset) -> unsigned {
    return at + offset < text.size() ? static_cast<unsigned char>(text[at + offset]) : 0U;
  };
  const auto continues = [&](std::size_t offset, unsigned low = 0x80, unsigned high = 0xBF) {
    return byte(offset) >= low && byte(offset) <= high;
  };
  const unsigned lead = byte(0);
  if (lead < 0x80) return lead == 0 ? 0 : 1;
  if (lead >= 0xC2 && lead <= 0xDF) return continues(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const bool second = continues(1, lead == 0xE0 ? 0xA0 : 0x80, lead == 0xED ? 0x9F : 0xBF);
    return second && continues(2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const bool second = continues(1, lead == 0xF0 ? 0x90 : 0x80, lead == 0xF4 ? 0x8F : 0xBF);
    return second && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

std::optional<Problem> find_bad_text(std::string_view text) {
  Place place{1, 1};
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length(text, at);
    if (length == 0) {
      return Problem{place.line, place.column,
                     fmt::format("byte 0x{:02x} is not UTF-8 text; save the file as UTF-8",
                                 static_cast<unsigned>(static_cast<unsigned char>(text[at])))};
    }
    place = text[at] == '\n' ? Place{place.line + 1, 1} : Place{place.line, place.column + 1};
    at += length;
  }
  return std::nullopt;
}

}  // namespace

const YamlNode* YamlNode::find(std::string_view key) const {
  for (const Member& member : members) {
    if (member.key->text == key) return member.value;
  }
  return nullptr;
}

YamlTree read_yaml(std::string_view text) {
  YamlTree tree;
  if (text.size() > kMaxSweepBytes) {
    tree.problems.push_back(
        {0, 0, fmt::format("the file has {} bytes; a sweep file may have {}", text.size(), kMaxSweepBytes)});
    return tree;
  }
  if (auto bad = find_bad_text(text)) {
    tree.problems.push_back(std::move(*bad));
    return tree;
  }
  ViewBuffer buffer(text);
  std::istream stream(&buffer);
  TreeBuilder builder(tree);
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& error) {  // the library's way to say that a text is not YAML
    const Place place = place_of(error.mark);
    tree.root = nullptr;
    tree.problems.push_back(
        {place.line, place.column, fmt::format("not a readable YAML file: {}", error.msg)});
    return tree;
  }
  if (tree.root == nullptr)
    tree.problems.push_back({1, 1, "the file is empty; a sweep starts with 'gauntlet: 1'"});
  return tree;
}

}  // namespace gauntlet::spec::detail
